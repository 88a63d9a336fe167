# Bodies into a batch: each event's organization, type and series found, and its digests made.

cdef class _Gathering:
    """A batch in the making; the last organization and the last sources are kept at hand."""

    cdef Batch batch
    cdef dict organizations, event_types, series, types
    cdef int64_t now, earliest, latest
    cdef Buffer key, body
    cdef Text subject
    cdef object org
    cdef object org_number
    cdef bytes org_bytes
    cdef dict org_heard
    cdef int org_shard
    cdef Text[SOURCES_AT_HAND] source_texts
    cdef list source_strings

    cdef bint meet(self, Text subject) except -1:
        """Whether the organization is known."""
        if self.org is not None and _same(subject, self.subject):
            return True
        cdef PyObject *found = PyDict_GetItem(self.organizations, _as_str(subject))
        if found == NULL:
            return False
        self.org = <object>found
        self.subject = subject
        self.org_number = self.org.number
        self.org_bytes = self.org.id_bytes
        self.org_heard = self.org.heard
        self.org_shard = self.org.shard
        self.batch.organizations.add(self.org)
        return True

    cdef str source_string(self, Text source):
        """The same string for the same source: they are few, and then compared at a glance."""
        cdef int place = (source.size * 31 + source.at[source.size - 1]) % SOURCES_AT_HAND
        if not _same(source, self.source_texts[place]):
            self.source_texts[place] = source
            self.source_strings[place] = intern(_as_str(source))
        return self.source_strings[place]

    cdef int hear(self, Text source, int64_t instant) except -1:
        """Note how far a source is heard of, where that is news."""
        cdef str name = self.source_string(source)
        cdef PyObject *until = PyDict_GetItem(self.org_heard, name)
        cdef PyObject *latest
        if until != NULL:
            if instant < <int64_t>(<tuple>until)[0] and self.now < <int64_t>(<tuple>until)[1]:
                return 0
        cdef tuple key = (self.org, name)
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

    cdef bint take(self, Scan scan, Event *event, Claim *claim) except -1:
        """One event; whether it is usual."""
        cdef Text[VALUES_MAX] parts
        cdef int64_t instant = event.instant if event.is_time_given else self.now
        cdef _Type type_ = self.type_of(event.type)
        if type_ is None or not self.earliest <= instant <= self.latest:
            return False
        if not self.meet(event.subject) or not _declared(scan, event, type_, parts):
            return False
        self.hear(event.source, instant)
        self._claim(event, claim)
        claim.instant = instant
        claim.is_time_given = event.is_time_given
        claim.fingerprint = self._fingerprint(type_, parts)
        for feed in type_.feeds:
            if not self._read(<_Feed>feed, type_, parts, event, instant):
                return False
        return True

    cdef int _claim(self, Event *event, Claim *claim) except -1:
        """As `fingerprints.identity_key` has it."""
        cdef uint8_t[32] digest
        cdef Buffer to = self.body
        cdef const uint8_t *org = <const uint8_t *>PyBytes_AS_STRING(self.org_bytes)
        to.size = 0
        memcpy(to.more(16), org, 16)
        to.text(event.source)
        to.byte(0)
        to.text(event.id)
        _sha256(to.start, to.size, digest)
        memcpy(claim.key, org + 12, 4)
        memcpy(claim.key + 4, digest, 12)
        return 0

    cdef int64_t _fingerprint(self, _Type type_, Text *parts) except? -1:
        """As `fingerprints.fingerprint` has it."""
        cdef uint8_t[32] digest
        cdef Buffer to = self.body
        cdef int at, number = <int>(len(type_.value_keys) + len(type_.text_keys))
        cdef uint64_t made = 0
        to.size = 0
        memcpy(to.more(len(type_.name)), PyBytes_AS_STRING(type_.name), len(type_.name))
        for at in range(number):
            to.byte(0)
            to.text(parts[at])
        _sha256(to.start, to.size, digest)
        for at in range(8):
            made = (made << 8) | digest[at]
        return <int64_t>made

    cdef bint _read(
        self, _Feed feed, _Type type_, Text *parts, Event *event, int64_t instant
    ) except -1:
        """What the event adds to one meter."""
        cdef Reading *reading = self.batch.new_reading()
        cdef int month = self.batch.month_place(instant)
        cdef int values = <int>len(type_.value_keys)
        if month < 0:
            return False
        reading.instant = instant
        reading.source = event.source
        reading.external_id = event.id
        reading.label = _NO_TEXT
        reading.pack = (feed.form * MONTHS_MAX + month) * SHARD_COUNT + self.org_shard
        if feed.is_distinct:
            reading.quantity = _NOTHING
            reading.label = parts[values + max(feed.value_at, 0)]
            if reading.label.size == 0:
                return False
        else:
            reading.quantity = _ONE if feed.value_at < 0 else parts[feed.value_at]
        self._find(feed, parts + values, reading)
        return True

    cdef int _find(self, _Feed feed, Text *texts, Reading *reading) except -1:
        """Its series, by a key as `desk.series_key` makes it."""
        cdef Buffer to = self.key
        cdef int at
        cdef bint is_first = True
        to.size = 0
        to.big_endian(<uint64_t>self.org_number, 8)
        to.big_endian(<uint64_t>feed.number, 8)
        for at in feed.dimensions_at:
            if not is_first:
                to.byte(0)
            is_first = False
            to.text(texts[at])
        cdef bytes key = PyBytes_FromStringAndSize(<const char *>to.start, to.size)
        cdef PyObject *found = PyDict_GetItem(self.series, key)
        if found != NULL:
            reading.series_id = <int64_t><object>found
            return 0
        reading.series_id = -1
        reading.series_key = <int>len(self.batch.series_keys)
        self.batch.series_keys.append(key)
        if key not in self.batch.unknown_series:
            dimensions = tuple([
                _as_str(texts[at]) if texts[at].size else None for at in feed.dimensions_at
            ])
            self.batch.unknown_series[key] = (self.org, feed.feed, dimensions)
        return 0


cdef bint _declared(Scan scan, Event *event, _Type type_, Text *parts) except -1:
    """All that the type declares: values as plain decimals, texts as they are, the missing empty."""
    cdef int at = 0
    cdef Field *field
    for key in type_.value_keys:
        field = _field(scan, event, <bytes>key)
        if field == NULL or (field.kind != TEXT and field.kind != NUMBER):
            return False
        if not _trimmed(&field.value):
            return False
        parts[at] = field.value
        at += 1
    for key in type_.text_keys:
        field = _field(scan, event, <bytes>key)
        if field == NULL or field.kind == NULL_VALUE:
            parts[at] = _NO_TEXT
        elif field.kind == TEXT and _is_within(field.value, DIMENSION_MAX):
            parts[at] = field.value
        else:
            return False
        at += 1
    return _are_told_apart(scan, event)


cdef Field *_field(Scan scan, Event *event, bytes key) noexcept:
    cdef int at
    for at in range(event.first_field, event.end_field):
        if _is(scan.fields[at].key, PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key)):
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


def gather(list scans, desk, int64_t now, int64_t earliest, int64_t latest):
    """The batch that some bodies come to; None where anything is unusual.

    `desk` has organizations, event types and series; instants are microseconds since 1970. Events
    without a time are of `now`, those before `earliest` or after `latest` are unusual.
    """
    cdef _Gathering gathering = _Gathering()
    cdef Batch batch = Batch()
    cdef Scan scan
    cdef int at, count = 0
    gathering.batch = batch
    gathering.organizations, gathering.event_types = desk.organizations, desk.event_types
    gathering.series, gathering.types = desk.series, {}
    gathering.now, gathering.earliest, gathering.latest = now, earliest, latest
    gathering.key, gathering.body = Buffer(), Buffer()
    gathering.source_strings = [None] * SOURCES_AT_HAND
    batch.stamp, batch.scans = desk.stamp, scans
    for scan in scans:
        count += scan.count
    batch.claims = <Claim *>_resized(NULL, max(count, 1) * sizeof(Claim))
    for scan in scans:
        for at in range(scan.count):
            if not gathering.take(scan, &scan.events[at], &batch.claims[batch.count]):
                return None
            batch.count += 1
    qsort(batch.claims, batch.count, sizeof(Claim), _by_key)
    for at in range(1, batch.count):
        if _by_key(&batch.claims[at - 1], &batch.claims[at]) == 0:
            return None
    return batch


def unknown_subjects(list scans, dict known):
    """The subjects of the events that are not known."""
    cdef Scan scan
    cdef Text last = _NO_TEXT
    cdef int at
    cdef str subject
    cdef set unknown = set()
    for scan in scans:
        for at in range(scan.count):
            if not _same(scan.events[at].subject, last):
                last = scan.events[at].subject
                subject = _as_str(last)
                if subject not in known:
                    unknown.add(subject)
    return unknown
