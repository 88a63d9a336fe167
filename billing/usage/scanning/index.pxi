# What the process remembers, as the scanner finds it: a cache line for an organization, and half of
# one for a series. In dictionaries of objects each took a dozen lines that no cache holds.

cdef struct Entry:
    uint64_t low
    uint64_t high
    uint8_t[16] org_id
    int64_t heard_at
    int64_t heard_now
    int32_t source
    uint32_t batch
    PyObject *org

cdef struct Place:
    uint64_t low
    uint64_t high
    int64_t number


cdef inline void _address(const uint8_t *text, Py_ssize_t size, uint64_t *two) noexcept nogil:
    """The first 128 bits of its digest: what has the same is the same."""
    cdef uint8_t[32] digest
    _sha256(text, size, digest)
    memcpy(two, digest, 16)


cdef class Table:
    """Numbers by address, in open addressing: at most half full."""

    cdef Place *places
    cdef uint64_t mask
    cdef Py_ssize_t count

    def __cinit__(self):
        self.places = NULL
        self.clear()

    def __dealloc__(self):
        free(self.places)

    cdef int clear(self) except -1:
        free(self.places)
        self.places = <Place *>calloc(1024, sizeof(Place))
        if self.places == NULL:
            raise MemoryError
        self.mask, self.count = 1023, 0
        return 0

    cdef inline Place *place(self, uint64_t low, uint64_t high) noexcept nogil:
        """Where it is, or would be: then its number is 0."""
        cdef uint64_t at = low & self.mask
        while self.places[at].number and (
            self.places[at].low != low or self.places[at].high != high
        ):
            at = (at + 1) & self.mask
        return &self.places[at]

    cdef int put(self, uint64_t low, uint64_t high, int64_t number) except -1:
        cdef Place *place
        if 2 * (self.count + 1) > <Py_ssize_t>self.mask:
            self._grow()
        place = self.place(low, high)
        self.count += place.number == 0
        place.low, place.high, place.number = low, high, number
        return 0

    cdef int _grow(self) except -1:
        cdef Place *old = self.places
        cdef uint64_t room = self.mask + 1, at
        self.places = <Place *>calloc(2 * room, sizeof(Place))
        if self.places == NULL:
            self.places = old
            raise MemoryError
        self.mask = 2 * room - 1
        for at in range(room):
            if old[at].number:
                self.place(old[at].low, old[at].high)[0] = old[at]
        free(old)
        return 0


cdef class Index:
    """Organizations by their keys, series by what they are, and how far sources are heard of.

    An organization is known here by its place in the order they were added, a series by its key
    (`desk.series_key`); instants are microseconds since 1970. Of an organization's sources the
    latest is at hand, the others are in a dictionary.
    """

    cdef Entry *entries
    cdef int count, room
    cdef uint32_t batch
    cdef int64_t first_number, forgotten
    cdef Table places, series
    cdef list organizations
    cdef dict source_numbers, others

    def __cinit__(self):
        self.entries = NULL
        self.places, self.series = Table(), Table()
        self.source_numbers, self.others = {}, {}
        self.organizations = []

    def __dealloc__(self):
        free(self.entries)

    def forget(self, int64_t first_number):
        """All organizations and all that is theirs; the next one added has this number."""
        self.count = 0
        self.forgotten += 1
        self.first_number = first_number
        self.organizations.clear()
        self.places.clear()
        self.forget_series()
        self._forget_sources()

    def forget_series(self):
        """All series."""
        self.series.clear()

    cdef int _forget_sources(self) except -1:
        cdef int at
        for at in range(self.count):
            self.entries[at].source = -1
        self.source_numbers.clear()
        self.others.clear()
        return 0

    def add(self, str key, org):
        """An organization that was not there; its `number` is one more than the last one's."""
        cdef bytes encoded = key.encode(), org_id = org.id_bytes
        cdef uint64_t[2] address
        cdef Entry *entry
        assert org.number == self.first_number + self.count
        if self.count == self.room:
            self.room = max(1024, 2 * self.room)
            self.entries = <Entry *>_resized(self.entries, self.room * sizeof(Entry))
        _address(<const uint8_t *>PyBytes_AS_STRING(encoded), PyBytes_GET_SIZE(encoded), address)
        self.organizations.append(org)
        entry = &self.entries[self.count]
        memset(entry, 0, sizeof(Entry))
        memcpy(entry.org_id, PyBytes_AS_STRING(org_id), 16)
        entry.org = <PyObject *>org
        entry.low, entry.high, entry.source = address[0], address[1], -1
        self.count += 1
        self.places.put(address[0], address[1], self.count)

    cdef inline int organization_at(self, uint64_t *address) noexcept nogil:
        """The place of the organization whose key has this address; -1 for none."""
        return <int>self.places.place(address[0], address[1]).number - 1

    def series_count(self):
        """How many series are remembered."""
        return self.series.count

    def learn_series(self, found):
        """Numbers of series, by key."""
        cdef uint64_t[2] address
        for key, number in found.items():
            _address(<const uint8_t *>PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key), address)
            self.series.put(address[0], address[1], number)

    def series_of(self, bytes key):
        """The number of a series; None where it is not remembered."""
        cdef uint64_t[2] address
        _address(<const uint8_t *>PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key), address)
        return self.series.place(address[0], address[1]).number or None

    def is_news(self, org, str source, int64_t instant, int64_t now):
        """Whether a source is heard of for the first time in a while."""
        cdef int64_t at = org.number - self.first_number
        if not 0 <= at < self.count:
            return True  # all were forgotten meanwhile
        return self._is_news(<int>at, self._source(source), instant, now)

    cdef bint _is_news(self, int at, int source, int64_t instant, int64_t now) except -1:
        cdef Entry *entry = &self.entries[at]
        if entry.source == source:
            return instant >= entry.heard_at or now >= entry.heard_now
        cdef PyObject *until = PyDict_GetItem(self.others, (at, source))
        if until == NULL:
            return True
        return instant >= <int64_t>(<tuple>until)[0] or now >= <int64_t>(<tuple>until)[1]

    def learn_heard(self, heard, int64_t now, int64_t precision):
        """What was noted of sources stands for a while, for events' own times and for receipts."""
        cdef Entry *entry
        cdef int source
        if len(self.source_numbers) + len(self.others) > SOURCES_MAX:
            self._forget_sources()
        for (org, name), instant in heard.items():
            if not self.first_number <= org.number < self.first_number + self.count:
                continue  # all were forgotten meanwhile
            entry = &self.entries[org.number - self.first_number]
            source = self._source(name)
            if entry.source != source and entry.source >= 0:
                self.others[org.number - self.first_number, entry.source] = (
                    entry.heard_at, entry.heard_now
                )
            entry.source = source
            entry.heard_at, entry.heard_now = instant + precision, now + precision

    cdef int _source(self, str name) except -1:
        cdef PyObject *found = PyDict_GetItem(self.source_numbers, name)
        if found != NULL:
            return <int><object>found
        number = len(self.source_numbers)
        self.source_numbers[name] = number
        return number
