# Text that PostgreSQL takes apart itself, and rows as its binary COPY has them.

cdef class Buffer:
    """Bytes that grow at their end."""

    cdef uint8_t *start
    cdef Py_ssize_t size, room

    def __cinit__(self):
        self.start = NULL

    def __dealloc__(self):
        free(self.start)

    cdef inline uint8_t *more(self, Py_ssize_t size) except NULL:
        """Room for so many more bytes, which are counted as written."""
        if self.size + size > self.room:
            self.room = 2 * (self.size + size) + 256
            self.start = <uint8_t *>_resized(self.start, self.room)
        self.size += size
        return self.start + self.size - size

    cdef inline int byte(self, uint8_t byte) except -1:
        self.more(1)[0] = byte
        return 0

    cdef inline int text(self, Text text) except -1:
        memcpy(self.more(text.size), text.at, text.size)
        return 0

    cdef int number(self, int64_t number) except -1:
        """In decimal digits."""
        cdef uint8_t[20] digits
        cdef int at = 20
        cdef uint64_t left = <uint64_t>number if number >= 0 else -<uint64_t>number
        while True:
            at -= 1
            digits[at] = <uint8_t>(c"0" + left % 10)
            left //= 10
            if left == 0:
                break
        if number < 0:
            self.byte(c"-")
        memcpy(self.more(20 - at), digits + at, 20 - at)
        return 0

    cdef inline int big_endian(self, uint64_t number, int size) except -1:
        cdef uint8_t *to = self.more(size)
        cdef int at
        for at in range(size):
            to[at] = <uint8_t>(number >> (8 * (size - 1 - at)))
        return 0

    cdef str taken(self):
        """As text; the buffer is empty then."""
        cdef str taken = PyUnicode_DecodeUTF8(<const char *>self.start, self.size, NULL)
        self.size = 0
        return taken

    cdef bytes taken_bytes(self):
        cdef bytes taken = PyBytes_FromStringAndSize(<const char *>self.start, self.size)
        self.size = 0
        return taken


cdef class Recent:
    """The latest identities this process has claimed, or tried to: a million or so.

    It may forget, and will hardly ever be wrong about what it has not seen. Whoever sends again is
    met here before the database has an error to write into its log.
    """

    cdef uint64_t *marks

    def __cinit__(self):
        self.marks = <uint64_t *>calloc(RECENT_ROOM, sizeof(uint64_t))
        if self.marks == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.marks)

    cdef inline bint notes(self, const uint8_t *key) noexcept nogil:
        """Whether it was noted before; it is now."""
        cdef uint64_t mark
        cdef uint64_t *place
        memcpy(&mark, key + 8, 8)
        place = &self.marks[mark % RECENT_ROOM]
        if place[0] == mark:
            return True
        place[0] = mark
        return False
