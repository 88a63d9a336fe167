# What the catalogue declares of an event type, as it is read here.

cdef enum:
    VALUES_MAX = 32

cdef tuple _FORMS = tuple(Form)


cdef class _Feed:
    cdef object feed
    cdef int number, form, value_at, dimensions
    cdef bint is_distinct
    cdef int[VALUES_MAX] dimensions_at


cdef class _Type:
    """An event type, as it is read here."""

    cdef bytes name
    cdef list encoded, feeds
    cdef int values, texts
    cdef Text[VALUES_MAX] keys


cdef _Type _type_of(object event_type):
    """None where it has more than an event is read for here."""
    cdef _Type made = _Type()
    cdef int at
    made.name = event_type.name.encode()
    made.values, made.texts = len(event_type.value_keys), len(event_type.text_keys)
    if made.values + made.texts > VALUES_MAX or not event_type.meters:
        return None
    made.encoded = [key.encode() for key in (*event_type.value_keys, *event_type.text_keys)]
    for at in range(made.values + made.texts):
        made.keys[at].at = <const uint8_t *>PyBytes_AS_STRING(made.encoded[at])
        made.keys[at].size = PyBytes_GET_SIZE(made.encoded[at])
    made.feeds = [_feed_of(feed) for feed in event_type.feeds]
    return made


cdef _Feed _feed_of(object feed):
    cdef _Feed made = _Feed()
    cdef int at
    made.feed, made.number = feed, feed.number
    made.form, made.is_distinct = _FORMS.index(feed.form), feed.form is Form.DISTINCT
    made.value_at = -1 if feed.value_at is None else feed.value_at
    made.dimensions = len(feed.dimensions_at)
    for at in range(made.dimensions):
        made.dimensions_at[at] = feed.dimensions_at[at]
    return made
