# One body: which events are in it, before anything is asked about them.

SINGLE = 0
BATCH = 1
LINES = 2

cdef enum:
    FIELDS_MAX = 64

cdef struct Field:
    Text key
    Text value
    Kind kind

cdef struct Event:
    Text id
    Text source
    Text type
    Text subject
    uint64_t[2] address
    int64_t instant
    bint is_time_given
    int first_field
    int end_field


cdef class Scan:
    """The well-formed events of one body (CloudEvents 1.0, JSON format)."""

    cdef Event *events
    cdef Field *fields
    cdef int count, events_room, fields_count, fields_room
    cdef bytes body
    cdef list made

    def __cinit__(self):
        self.events = NULL
        self.fields = NULL
        self.made = []

    def __dealloc__(self):
        free(self.events)
        free(self.fields)

    def __len__(self):
        return self.count

    cdef Event *new_event(self) except NULL:
        if self.count == self.events_room:
            self.events_room = max(4, 2 * self.events_room)
            self.events = <Event *>_resized(self.events, self.events_room * sizeof(Event))
        self.count += 1
        memset(&self.events[self.count - 1], 0, sizeof(Event))
        return &self.events[self.count - 1]

    cdef Field *new_field(self) except NULL:
        if self.fields_count == self.fields_room:
            self.fields_room = max(16, 2 * self.fields_room)
            self.fields = <Field *>_resized(self.fields, self.fields_room * sizeof(Field))
        self.fields_count += 1
        return &self.fields[self.fields_count - 1]


cdef void *_resized(void *block, size_t size) except NULL:
    cdef void *found = realloc(block, size)
    if found == NULL:
        raise MemoryError
    return found


def scan(bytes body, int kind, int events_max):
    """The events of a body of a kind: one, a JSON array, or one a line. None if not usual."""
    if not _is_unicode(body):
        return None
    cdef Scan found = Scan()
    cdef Reader reader = Reader()
    found.body = body
    reader.made = found.made
    reader.at = <const uint8_t *>PyBytes_AS_STRING(body)
    reader.end = reader.at + PyBytes_GET_SIZE(body)
    reader.are_lines = kind == LINES
    return found if _read(found, reader, kind, events_max) else None


cdef bint _is_unicode(bytes body) except -1:
    if body.isascii():
        return True
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


cdef bint _read(Scan found, Reader reader, int kind, int events_max) except -1:
    if kind == BATCH and not reader.takes(c"["):
        return False
    while True:
        if found.count == events_max or not _read_event(found, reader):
            return False
        if kind == SINGLE or not reader.takes(c"," if kind == BATCH else c"\n"):
            break
        if kind == LINES and _is_at_end(reader):
            return True
    if kind == BATCH and not reader.takes(c"]"):
        return False
    return _is_at_end(reader)


cdef bint _is_at_end(Reader reader) noexcept:
    reader.skip_blanks()
    return reader.at == reader.end


cdef bint _read_event(Scan found, Reader reader) except -1:
    cdef Event *event = found.new_event()
    cdef Text name, value
    cdef Kind kind
    cdef bint has_version = False, has_data = False, has_time = False
    event.first_field = event.end_field = found.fields_count
    if not reader.takes(c"{"):
        return False
    while True:
        if not reader.text(&name) or not reader.takes(c":"):
            return False
        if _is(name, b"data", 4):
            if has_data or not _read_data(found, reader):
                return False
            event.end_field = found.fields_count
            has_data = True
        elif not reader.value(&kind, &value):
            return False
        elif _is(name, b"specversion", 11):
            if has_version or kind != TEXT or not _is(value, b"1.0", 3):
                return False
            has_version = True
        elif _is(name, b"time", 4):
            if has_time or not _take_time(event, kind, value):
                return False
            has_time = True
        elif _is(name, b"id", 2):
            if not _take(&event.id, kind, value):
                return False
        elif _is(name, b"source", 6):
            if not _take(&event.source, kind, value):
                return False
        elif _is(name, b"type", 4):
            if not _take(&event.type, kind, value):
                return False
        elif _is(name, b"subject", 7):
            if not _take(&event.subject, kind, value):
                return False
        elif _is(name, b"data_base64", 11):
            return False
        if not reader.takes(c","):
            break
    if event.subject.size:
        _address(event.subject.at, event.subject.size, event.address)
    return (
        reader.takes(c"}") and has_version
        and event.id.size and event.source.size and event.type.size and event.subject.size
    )


cdef bint _take(Text *attribute, Kind kind, Text value) noexcept:
    """An attribute that every event has, given once."""
    if attribute.size or kind != TEXT or not _is_visible(value):
        return False
    attribute[0] = value
    return _is_within(value, ATTRIBUTE_MAX)


cdef bint _take_time(Event *event, Kind kind, Text value) noexcept:
    if kind == NULL_VALUE:
        return True
    event.is_time_given = True
    return kind == TEXT and _instant(value, &event.instant)


cdef bint _read_data(Scan found, Reader reader) except -1:
    cdef Field *field
    cdef int first = found.fields_count
    if reader.takes(c"n"):
        return reader._word(b"ull", 3)
    if not reader.takes(c"{"):
        return False
    if reader.takes(c"}"):
        return True
    while found.fields_count - first < FIELDS_MAX:
        field = found.new_field()
        if not reader.text(&field.key) or not reader.takes(c":"):
            return False
        if not reader.value(&field.kind, &field.value):
            return False
        if not reader.takes(c","):
            return reader.takes(c"}")
    return False
