# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, nonecheck=False
"""Usual bodies straight into columns; see the package."""

import json
from datetime import date

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItem
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, qsort, realloc
from libc.string cimport memcmp, memcpy, memset

from billing.models import Form
from billing.rules.periods import YEARS
from billing.usage.declared import DIMENSION_CHARACTERS_MAX
from billing.usage.events import ATTRIBUTE_CHARACTERS_MAX
from billing.usage.shards import SHARDS

cdef Py_ssize_t ATTRIBUTE_MAX = ATTRIBUTE_CHARACTERS_MAX
cdef Py_ssize_t DIMENSION_MAX = DIMENSION_CHARACTERS_MAX
cdef int SHARD_COUNT = SHARDS
cdef int64_t YEAR_FIRST = YEARS.start, YEAR_LAST = YEARS.stop - 1

cdef enum:
    SEPARATOR = 0x1F
    SOURCES_AT_HAND = 64
    SOURCES_MAX = 100_000
    RECENT_ROOM = 1 << 20

cdef extern from *:
    """
    #if defined(__GNUC__)
    #define fetch_ahead(at) __builtin_prefetch(at)
    #else
    #define fetch_ahead(at) ((void)(at))
    #endif
    """
    void _fetch "fetch_ahead" (const void *at) noexcept nogil

cdef enum Column:
    QUANTITIES
    LABELS
    SOURCES
    EXTERNAL_IDS

include "sha256.pxi"
include "json_text.pxi"
include "instants.pxi"
include "scan.pxi"
include "columns.pxi"
include "index.pxi"
include "types.pxi"
include "batch.pxi"
include "gather.pxi"
