# JSON (RFC 8259) as nearly everybody writes it. Texts are places in the body; only those with
# escapes are made anew. Whatever is not known here for sure to be right ends the scan.

cdef struct Text:
    const uint8_t *at
    Py_ssize_t size

cdef enum Kind:
    TEXT
    NUMBER
    NULL_VALUE
    BOOLEAN


cdef inline bint _is(Text text, const char *name, Py_ssize_t size) noexcept nogil:
    return text.size == size and memcmp(text.at, name, size) == 0


cdef inline bint _same(Text one, Text other) noexcept nogil:
    return one.size == other.size and memcmp(one.at, other.at, one.size) == 0


cdef inline str _as_str(Text text):
    return PyUnicode_DecodeUTF8(<const char *>text.at, text.size, NULL)


cdef inline Py_ssize_t _characters(Text text) noexcept nogil:
    """Code points: bytes that do not go on with one."""
    cdef Py_ssize_t at, count = 0
    for at in range(text.size):
        count += (text.at[at] & 0xC0) != 0x80
    return count


cdef inline bint _is_within(Text text, Py_ssize_t characters) noexcept nogil:
    return text.size <= characters or _characters(text) <= characters


cdef bint _is_visible(Text text) noexcept nogil:
    """Whether it is surely not empty or blank, whatever blanks Unicode has."""
    cdef Py_ssize_t at
    for at in range(text.size):
        if 0x20 < text.at[at] < 0x7F:
            return True
    return False


cdef class Reader:
    """Where in a body we are."""

    cdef const uint8_t *at
    cdef const uint8_t *end
    cdef list made
    cdef bint are_lines

    cdef inline void skip_blanks(self) noexcept nogil:
        """What JSON allows between tokens; a line's end only where lines mean nothing."""
        cdef uint8_t byte
        while self.at < self.end:
            byte = self.at[0]
            if byte == c" " or byte == c"\t" or byte == c"\r" or (
                byte == c"\n" and not self.are_lines
            ):
                self.at += 1
            else:
                return

    cdef inline bint takes(self, uint8_t byte) noexcept nogil:
        """Whether this comes next; if so it is behind us."""
        self.skip_blanks()
        if self.at < self.end and self.at[0] == byte:
            self.at += 1
            return True
        return False

    cdef bint text(self, Text *text) except -1:
        """A string; NUL and the separator of columns are in none."""
        cdef const uint8_t *start
        cdef bint is_escaped = False
        if not self.takes(c'"'):
            return False
        start = self.at
        while self.at < self.end and self.at[0] != c'"':
            if self.at[0] < 0x20:
                return False
            if self.at[0] == c"\\":
                is_escaped = True
                self.at += 1
            self.at += 1
        if self.at >= self.end:
            return False
        text.at = start
        text.size = self.at - start
        self.at += 1
        return self._unescaped(text) if is_escaped else True

    cdef bint _unescaped(self, Text *text) except -1:
        cdef bytes made
        try:
            made = json.loads(b'"' + text.at[:text.size] + b'"').encode()
        except ValueError:
            return False
        if b"\0" in made or b"\x1f" in made:
            return False
        self.made.append(made)
        text.at = <const uint8_t *>PyBytes_AS_STRING(made)
        text.size = PyBytes_GET_SIZE(made)
        return True

    cdef bint value(self, Kind *kind, Text *text) except -1:
        """Anything but what has parts."""
        self.skip_blanks()
        if self.at >= self.end:
            return False
        if self.at[0] == c'"':
            kind[0] = TEXT
            return self.text(text)
        if self.at[0] == c"-" or c"0" <= self.at[0] <= c"9":
            kind[0] = NUMBER
            return self._number(text)
        if self._word(b"null", 4):
            kind[0] = NULL_VALUE
            return True
        kind[0] = BOOLEAN
        return self._word(b"true", 4) or self._word(b"false", 5)

    cdef bint _word(self, const char *word, Py_ssize_t size) noexcept nogil:
        if self.end - self.at < size or memcmp(self.at, word, size) != 0:
            return False
        self.at += size
        return True

    cdef bint _number(self, Text *text) noexcept nogil:
        cdef const uint8_t *start = self.at
        if self.at[0] == c"-":
            self.at += 1
        if self.at < self.end and self.at[0] == c"0":
            self.at += 1
        elif not self._digits():
            return False
        if self.at < self.end and self.at[0] == c".":
            self.at += 1
            if not self._digits():
                return False
        if self.at < self.end and (self.at[0] | 0x20) == c"e":
            self.at += 1
            if self.at < self.end and (self.at[0] == c"+" or self.at[0] == c"-"):
                self.at += 1
            if not self._digits():
                return False
        text.at = start
        text.size = self.at - start
        return True

    cdef bint _digits(self) noexcept nogil:
        cdef const uint8_t *start = self.at
        while self.at < self.end and c"0" <= self.at[0] <= c"9":
            self.at += 1
        return self.at > start


cdef bint _trimmed(Text *number) noexcept nogil:
    """Whether it is a plain decimal, as `declared` reads without a second look; the shortest."""
    cdef Py_ssize_t at = 0, point
    while at < number.size and c"0" <= number.at[at] <= c"9":
        at += 1
    if at == 0 or at > 15 or (at > 1 and number.at[0] == c"0"):
        return False
    if at == number.size:
        return True
    if number.at[at] != c".":
        return False
    point = at
    at += 1
    while at < number.size and c"0" <= number.at[at] <= c"9":
        at += 1
    if at < number.size or at == point + 1 or at > point + 13:
        return False
    while number.at[at - 1] == c"0":
        at -= 1
    number.size = at - 1 if at == point + 1 else at
    return True
