# What the bodies of some requests come to, by what the process remembers.

cdef struct Claim:
    uint8_t[16] key
    int64_t fingerprint
    int64_t instant
    bint is_time_given

cdef struct Reading:
    int64_t series_id
    int64_t instant
    uint64_t[2] address
    Py_ssize_t key_start
    Py_ssize_t key_size
    PyObject *feed
    int org
    int series_key
    int pack
    Text quantity
    Text label
    Text source
    Text external_id

cdef enum:
    MONTHS_MAX = 4

cdef Text _ONE, _NOTHING, _NO_TEXT
_ONE.at, _ONE.size = <const uint8_t *>b"1", 1
_NOTHING.at, _NOTHING.size = <const uint8_t *>b"0", 1
_NO_TEXT.at, _NO_TEXT.size = <const uint8_t *>b"", 0


cdef class Batch:
    """Every event of some requests, all of them being accepted once their identities are claimed.

    `unknown_series` are those the process does not remember, by key; `heard` is how far each
    source is newly heard of, in microseconds since 1970.
    """

    cdef readonly dict unknown_series
    cdef readonly dict heard
    cdef Claim *claims
    cdef Reading *readings
    cdef int *orgs
    cdef bytes org_bytes
    cdef Index index
    cdef int64_t forgotten
    cdef int count, readings_count, readings_room, months_count
    cdef int64_t[MONTHS_MAX] months
    cdef list scans, series_keys
    cdef Buffer buffer

    def __cinit__(self):
        self.claims = NULL
        self.readings = NULL
        self.orgs = NULL
        self.unknown_series = {}
        self.heard = {}
        self.series_keys = []
        self.buffer = Buffer()

    def __dealloc__(self):
        free(self.claims)
        free(self.readings)
        free(self.orgs)

    def __len__(self):
        return self.count

    def are_new_to(self, Recent recent):
        """Whether none of its identities was met lately; all of them are met now."""
        cdef int at, met = 0
        for at in range(self.count):
            met += recent.notes(self.claims[at].key)
        return met == 0

    cdef int keep_organizations(self) except -1:
        """The ids of its organizations, each once."""
        cdef Entry *entry
        cdef int at
        self.index.batch += 1
        for at in range(self.count):
            entry = &self.index.entries[self.orgs[at]]
            if entry.batch != self.index.batch:
                entry.batch = self.index.batch
                memcpy(self.buffer.more(16), entry.org_id, 16)
        self.org_bytes = self.buffer.taken_bytes()
        return 0

    def organizations(self):
        """Whom it is about; to be asked before anything is awaited, for the index may forget."""
        if self.forgotten != self.index.forgotten:
            raise RuntimeError("The organizations were forgotten meanwhile.")
        return {<object>self.index.entries[self.orgs[at]].org for at in range(self.count)}

    def org_ids(self):
        """The 16 bytes of each organization's id, as they are asked for."""
        for at in range(0, len(self.org_bytes), 16):
            yield self.org_bytes[at:at + 16]

    def know(self, found):
        """Learn the numbers of the unknown series, by key."""
        cdef Reading *reading
        cdef int at
        for at in range(self.readings_count):
            reading = &self.readings[at]
            if reading.series_id == 0:
                reading.series_id = found[self.series_keys[reading.series_key]]

    def claims_to_copy(self):
        """Identities, sorted by key, as PostgreSQL's binary COPY has them."""
        cdef Buffer to = self.buffer
        cdef Claim *claim
        cdef int at
        memcpy(to.more(19), b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0", 19)
        for at in range(self.count):
            claim = &self.claims[at]
            to.big_endian(4, 2)
            to.big_endian(16, 4)
            memcpy(to.more(16), claim.key, 16)
            to.big_endian(8, 4)
            to.big_endian(<uint64_t>claim.fingerprint, 8)
            to.big_endian(8, 4)
            to.big_endian(<uint64_t>(claim.instant - _TO_POSTGRES), 8)
            to.big_endian(1, 4)
            to.byte(claim.is_time_given)
        to.big_endian(0xFFFF, 2)
        return to.taken_bytes()

    def claims_as_columns(self):
        """Identities, sorted by key: the keys' bytes, and three columns each as one text."""
        cdef Buffer to = self.buffer
        cdef list keys = []
        cdef int at
        cdef str fingerprints, instants, are_given
        to.byte(c"{")
        for at in range(self.count):
            keys.append(<bytes>self.claims[at].key[:16])
            to.number(self.claims[at].fingerprint)
            to.byte(c",")
        fingerprints = _closed(to)
        to.byte(c"{")
        for at in range(self.count):
            to.number(self.claims[at].instant)
            to.byte(c",")
        instants = _closed(to)
        to.byte(c"{")
        for at in range(self.count):
            to.byte(c"t" if self.claims[at].is_time_given else c"f")
            to.byte(c",")
        return keys, fingerprints, instants, _closed(to)

    def tail_rows(self):
        """(shard, form, month) and six columns, each as one text: a row for each such three."""
        cdef int packs = len(_FORMS) * MONTHS_MAX * SHARD_COUNT, pack, at
        cdef list rows = []
        cdef int *ends = <int *>calloc(packs + 1, sizeof(int))
        cdef int *places = <int *>calloc(max(self.readings_count, 1), sizeof(int))
        try:
            if ends == NULL or places == NULL:
                raise MemoryError
            for at in range(self.readings_count):
                ends[self.readings[at].pack + 1] += 1
            for pack in range(packs):
                ends[pack + 1] += ends[pack]
            for at in range(self.readings_count):
                pack = self.readings[at].pack
                places[ends[pack]] = at
                ends[pack] += 1
            at = 0
            for pack in range(packs):
                if ends[pack] > at:
                    rows.append(self._row(pack, places + at, ends[pack] - at))
                    at = ends[pack]
        finally:
            free(ends)
            free(places)
        return rows

    cdef tuple _row(self, int pack, int *places, int count):
        cdef int64_t month = self.months[pack // SHARD_COUNT % MONTHS_MAX]
        cdef int form = pack // SHARD_COUNT // MONTHS_MAX
        cdef bint has_labels = _FORMS[form] is Form.DISTINCT
        return (
            pack % SHARD_COUNT,
            _FORMS[form].value,
            date(month // 12, month % 12 + 1, 1),
            self._numbers(places, count, False),
            self._numbers(places, count, True),
            self._texts(places, count, QUANTITIES),
            self._texts(places, count, LABELS) if has_labels else None,
            self._texts(places, count, SOURCES),
            self._texts(places, count, EXTERNAL_IDS),
        )

    cdef str _numbers(self, int *places, int count, bint are_instants):
        cdef Buffer to = self.buffer
        cdef Reading *reading
        cdef int at
        to.byte(c"{")
        for at in range(count):
            reading = &self.readings[places[at]]
            to.number(reading.instant if are_instants else reading.series_id)
            to.byte(c",")
        return _closed(to)

    cdef str _texts(self, int *places, int count, Column column):
        cdef Buffer to = self.buffer
        cdef Reading *reading
        cdef uint8_t separator = c"," if column == QUANTITIES else SEPARATOR
        cdef int at
        if column == QUANTITIES:
            to.byte(c"{")
        for at in range(count):
            reading = &self.readings[places[at]]
            if column == QUANTITIES:
                to.text(reading.quantity)
            elif column == LABELS:
                to.text(reading.label)
            elif column == SOURCES:
                to.text(reading.source)
            else:
                to.text(reading.external_id)
            to.byte(separator)
        if column == QUANTITIES:
            return _closed(to)
        to.size -= 1
        return to.taken()

    cdef Reading *new_reading(self) except NULL:
        if self.readings_count == self.readings_room:
            self.readings_room = max(4, 2 * self.readings_room)
            self.readings = <Reading *>_resized(
                self.readings, self.readings_room * sizeof(Reading)
            )
        self.readings_count += 1
        return &self.readings[self.readings_count - 1]

    cdef int month_place(self, int64_t instant) noexcept:
        """Which of the batch's months it is in; less than 0 where there are too many."""
        cdef int64_t month = _month_at(instant)
        cdef int place
        for place in range(self.months_count):
            if self.months[place] == month:
                return place
        if self.months_count == MONTHS_MAX:
            return -1
        self.months[self.months_count] = month
        self.months_count += 1
        return self.months_count - 1


cdef str _closed(Buffer to):
    """An array as PostgreSQL reads it: what was a comma ends it."""
    to.start[to.size - 1] = c"}"
    return to.taken()


cdef int _by_key(const void *one, const void *other) noexcept nogil:
    return memcmp((<Claim *>one).key, (<Claim *>other).key, 16)
