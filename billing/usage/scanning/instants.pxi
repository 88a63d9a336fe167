# Instants (RFC 3339) as microseconds since 1970, and the months they are in.

cdef int64_t _SECOND = 1_000_000
cdef int64_t _DAY = 86_400 * _SECOND
cdef int64_t _TO_POSTGRES = 946_684_800 * _SECOND
"""PostgreSQL counts from the year 2000."""


cdef int64_t _days(int64_t year, int64_t month, int64_t day) noexcept nogil:
    """Since 1970-01-01, in the Gregorian calendar; years begin in March, so that leap days end them."""
    cdef int64_t shifted = year - (month <= 2), of_era, of_year
    cdef int64_t era = shifted // 400
    of_era = shifted - era * 400
    of_year = (153 * (month + (9 if month <= 2 else -3)) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


cdef int64_t _month_at(int64_t instant) noexcept nogil:
    """Months since the year 0 of an instant after 1970."""
    cdef int64_t day = instant // _DAY + 719_468
    cdef int64_t era = day // 146_097
    cdef int64_t of_era = day - era * 146_097
    cdef int64_t year = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    cdef int64_t of_year = of_era - (365 * year + year // 4 - year // 100)
    cdef int64_t shifted = (5 * of_year + 2) // 153
    cdef int64_t month = shifted + (3 if shifted < 10 else -9)
    return (year + era * 400 + (month <= 2)) * 12 + month - 1


cdef inline int64_t _two(const uint8_t *at, int64_t limit) noexcept nogil:
    """Two digits as a number of at most `limit`; far less than nothing if they are none."""
    cdef int64_t number
    if not (c"0" <= at[0] <= c"9" and c"0" <= at[1] <= c"9"):
        return -1_000_000
    number = (at[0] - c"0") * 10 + at[1] - c"0"
    return number if number <= limit else -1_000_000


cdef bint _instant(Text text, int64_t *instant) noexcept nogil:
    """Whether it is `YYYY-MM-DDTHH:MM:SS`, perhaps with decimals, and Z; after the first year."""
    cdef const uint8_t *at = text.at
    cdef int64_t year, month, day, seconds, micros = 0, scale = 100_000
    cdef Py_ssize_t place = 20
    if text.size < 20 or text.size > 27 or at[text.size - 1] != c"Z":
        return False
    if at[4] != c"-" or at[7] != c"-" or at[10] != c"T" or at[13] != c":" or at[16] != c":":
        return False
    year = _two(at, 99) * 100 + _two(at + 2, 99)
    month, day = _two(at + 5, 12), _two(at + 8, 31)
    seconds = _two(at + 11, 23) * 3600 + _two(at + 14, 59) * 60 + _two(at + 17, 59)
    if year <= YEAR_FIRST or year > YEAR_LAST or month < 1 or day < 1 or day > 28 + _more_days(year, month) or seconds < 0:
        return False
    if text.size > 20:
        if at[19] != c"." or text.size == 21:
            return False
        for place in range(20, text.size - 1):
            if not c"0" <= at[place] <= c"9":
                return False
            micros += (at[place] - c"0") * scale
            scale //= 10
    instant[0] = _days(year, month, day) * _DAY + seconds * _SECOND + micros
    return True


cdef inline int64_t _more_days(int64_t year, int64_t month) noexcept nogil:
    """How many days a month has besides 28."""
    if month == 2:
        return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return 2 if month == 4 or month == 6 or month == 9 or month == 11 else 3
