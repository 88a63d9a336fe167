# Bodies into a batch: each event's organization, type and series found, and its digests made. In
# three rounds, so that memory that no cache holds is on its way while something else is done.

cdef class _Gathering:
    """A batch in the making; the last sources and all types met are kept at hand."""

    cdef Batch batch
    cdef Index index
    cdef dict event_types, types
    cdef int64_t now, earliest, latest
    cdef Buffer text, keys
    cdef Text[SOURCES_AT_HAND] source_texts
    cdef list source_names
    cdef int[SOURCES_AT_HAND] source_numbers

    cdef int at_hand(self, Text source) except -1:
        """Where the source is at hand; it is put there if it was not."""
        cdef int place = (source.size * 31 + source.at[source.size - 1]) % SOURCES_AT_HAND
        if not _same(source, self.source_texts[place]):
            self.source_texts[place] = source
            self.source_names[place] = _as_str(source)
            self.source_numbers[place] = self.index._source(self.source_names[place])
        return place

    cdef int hear(self, int org, Text source, int64_t instant) except -1:
        """Note how far a source is heard of, where that is news."""
        cdef int place = self.at_hand(source)
        cdef PyObject *latest
        if not self.index._is_news(org, self.source_numbers[place], instant, self.now):
            return 0
        cdef tuple key = (<object>self.index.entries[org].org, self.source_names[place])
        latest = PyDict_GetItem(self.batch.heard, key)
        if latest == NULL or instant > <int64_t><object>latest:
            self.batch.heard[key] = instant
        return 0

    cdef _Type type_of(self, Text name):
        cdef str key = _as_str(name)
        cdef PyObject *found = PyDict_GetItem(self.types, key)
        if found != NULL:
            return <_Type>found
        cdef object event_type = self.event_types.get(key)
        cdef _Type made = None if event_type is None else _type_of(event_type)
        self.types[key] = made
        return made

    cdef bint meet(self, Event *event, int at_event) except -1:
        """Whether the organization is known."""
        cdef int at = self.index.organization_at(event.address)
        self.batch.orgs[at_event] = at
        if at < 0:
            return False
        _fetch(&self.index.entries[at])
        return True

    cdef bint take(self, Scan scan, Event *event, Claim *claim, int org) except -1:
        """One event; whether it is usual."""
        cdef Text[VALUES_MAX] parts
        cdef Entry *entry = &self.index.entries[org]
        cdef int64_t instant = event.instant if event.is_time_given else self.now
        cdef _Type type_ = self.type_of(event.type)
        if type_ is None or not self.earliest <= instant <= self.latest:
            return False
        if not _declared(scan, event, type_, parts):
            return False
        self.hear(org, event.source, instant)
        self._claim(event, claim, entry)
        claim.instant = instant
        claim.is_time_given = event.is_time_given
        claim.fingerprint = self._fingerprint(type_, parts)
        for feed in type_.feeds:
            if not self._read(<_Feed>feed, type_, parts, event, instant, org):
                return False
        return True

    cdef int _claim(self, Event *event, Claim *claim, Entry *entry) except -1:
        """As `fingerprints.identity_key` has it."""
        cdef uint8_t[32] digest
        cdef Buffer to = self.text
        to.size = 0
        memcpy(to.more(16), entry.org_id, 16)
        to.text(event.source)
        to.byte(0)
        to.text(event.id)
        _sha256(to.start, to.size, digest)
        memcpy(claim.key, entry.org_id + 12, 4)
        memcpy(claim.key + 4, digest, 12)
        return 0

    cdef int64_t _fingerprint(self, _Type type_, Text *parts) except? -1:
        """As `fingerprints.fingerprint` has it."""
        cdef uint8_t[32] digest
        cdef Buffer to = self.text
        cdef int at
        cdef uint64_t made = 0
        to.size = 0
        memcpy(to.more(len(type_.name)), PyBytes_AS_STRING(type_.name), len(type_.name))
        for at in range(type_.values + type_.texts):
            to.byte(0)
            to.text(parts[at])
        _sha256(to.start, to.size, digest)
        for at in range(8):
            made = (made << 8) | digest[at]
        return <int64_t>made

    cdef bint _read(
        self, _Feed feed, _Type type_, Text *parts, Event *event, int64_t instant, int org
    ) except -1:
        """What the event adds to one meter."""
        cdef Reading *reading = self.batch.new_reading()
        cdef int month = self.batch.month_place(instant)
        cdef int shard = self.index.entries[org].org_id[15] % SHARD_COUNT
        if month < 0:
            return False
        reading.instant = instant
        reading.source = event.source
        reading.external_id = event.id
        reading.label = _NO_TEXT
        reading.pack = (feed.form * MONTHS_MAX + month) * SHARD_COUNT + shard
        if feed.is_distinct:
            reading.quantity = _NOTHING
            reading.label = parts[type_.values + max(feed.value_at, 0)]
            if reading.label.size == 0:
                return False
        else:
            reading.quantity = _ONE if feed.value_at < 0 else parts[feed.value_at]
        self._address_of(feed, parts + type_.values, reading, org)
        return True

    cdef int _address_of(self, _Feed feed, Text *texts, Reading *reading, int org) except -1:
        """Of its series, by a key as `desk.series_key` makes it."""
        cdef Buffer to = self.keys
        cdef Py_ssize_t start = to.size
        cdef int at
        to.big_endian(<uint64_t>(self.index.first_number + org), 8)
        to.big_endian(<uint64_t>feed.number, 8)
        for at in range(feed.dimensions):
            if at:
                to.byte(0)
            to.text(texts[feed.dimensions_at[at]])
        _address(to.start + start, to.size - start, reading.address)
        _fetch(&self.index.series.places[reading.address[0] & self.index.series.mask])
        reading.key_start, reading.key_size = start, to.size - start
        reading.feed, reading.org = <PyObject *>feed, org
        return 0

    cdef int find(self, Reading *reading) except -1:
        """Its series; what it takes to make one that is not remembered is noted by the batch."""
        reading.series_id = self.index.series.place(
            reading.address[0], reading.address[1]
        ).number
        if reading.series_id:
            return 0
        cdef bytes key = self.keys.start[reading.key_start:reading.key_start + reading.key_size]
        cdef _Feed feed = <_Feed>reading.feed
        cdef object org = <object>self.index.entries[reading.org].org
        reading.series_key = <int>len(self.batch.series_keys)
        self.batch.series_keys.append(key)
        if key not in self.batch.unknown_series:
            texts = key[16:].decode().split("\0") if feed.dimensions else []
            dimensions = tuple([text or None for text in texts])
            self.batch.unknown_series[key] = (org, feed.feed, dimensions)
        return 0


cdef bint _declared(Scan scan, Event *event, _Type type_, Text *parts) except -1:
    """All that the type declares: values as plain decimals, texts as they are, the missing empty."""
    cdef int at
    cdef Field *field
    for at in range(type_.values + type_.texts):
        field = _field(scan, event, type_.keys[at])
        if at < type_.values:
            if field == NULL or (field.kind != TEXT and field.kind != NUMBER):
                return False
            if not _trimmed(&field.value):
                return False
            parts[at] = field.value
        elif field == NULL or field.kind == NULL_VALUE:
            parts[at] = _NO_TEXT
        elif field.kind == TEXT and _is_within(field.value, DIMENSION_MAX):
            parts[at] = field.value
        else:
            return False
    return _are_told_apart(scan, event)


cdef Field *_field(Scan scan, Event *event, Text key) noexcept:
    cdef int at
    for at in range(event.first_field, event.end_field):
        if _same(scan.fields[at].key, key):
            return &scan.fields[at]
    return NULL


cdef bint _are_told_apart(Scan scan, Event *event) noexcept:
    """Whether no key is given twice."""
    cdef int one, other
    for one in range(event.first_field + 1, event.end_field):
        for other in range(event.first_field, one):
            if _same(scan.fields[one].key, scan.fields[other].key):
                return False
    return True


def gather(list scans, Index index, dict event_types, int64_t now, int64_t earliest, int64_t latest):
    """The batch that some bodies come to; None where anything is unusual.

    Instants are microseconds since 1970. Events without a time are of `now`, those before
    `earliest` or after `latest` are unusual.
    """
    cdef _Gathering gathering = _Gathering()
    cdef Batch batch = Batch()
    gathering.batch, gathering.index = batch, index
    gathering.event_types, gathering.types = event_types, {}
    gathering.now, gathering.earliest, gathering.latest = now, earliest, latest
    gathering.keys, gathering.text = Buffer(), Buffer()
    gathering.source_names = [None] * SOURCES_AT_HAND
    batch.scans, batch.index, batch.forgotten = scans, index, index.forgotten
    return batch if _gathered(gathering, batch, scans) else None


cdef bint _gathered(_Gathering gathering, Batch batch, list scans) except -1:
    cdef Scan scan
    cdef int at, count = 0
    for scan in scans:
        count += scan.count
    batch.claims = <Claim *>_resized(NULL, max(count, 1) * sizeof(Claim))
    batch.orgs = <int *>_resized(NULL, max(count, 1) * sizeof(int))
    count = 0
    for scan in scans:
        for at in range(scan.count):
            if not gathering.meet(&scan.events[at], count):
                return False
            count += 1
    for scan in scans:
        for at in range(scan.count):
            if not gathering.take(
                scan, &scan.events[at], &batch.claims[batch.count], batch.orgs[batch.count]
            ):
                return False
            batch.count += 1
    for at in range(batch.readings_count):
        gathering.find(&batch.readings[at])
    qsort(batch.claims, batch.count, sizeof(Claim), _by_key)
    for at in range(1, batch.count):
        if _by_key(&batch.claims[at - 1], &batch.claims[at]) == 0:
            return False
    batch.keep_organizations()
    return True


def unknown_subjects(list scans, Index index):
    """The subjects of the events of whom nothing is remembered."""
    cdef Scan scan
    cdef int at
    cdef set unknown = set()
    for scan in scans:
        for at in range(scan.count):
            if index.organization_at(scan.events[at].address) < 0:
                unknown.add(_as_str(scan.events[at].subject))
    return unknown
