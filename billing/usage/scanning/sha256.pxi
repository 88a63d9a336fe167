# SHA-256 (FIPS 180-4) of a text at once. `hashlib` makes two objects and takes half a microsecond
# for each, which is more than all else that is done with an event.

cdef uint32_t[64] _ROUND = [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
]


cdef inline uint32_t _turned(uint32_t word, int by) noexcept nogil:
    return (word >> by) | (word << (32 - by))


cdef void _compress(uint32_t *state, const uint8_t *block) noexcept nogil:
    cdef uint32_t[64] words
    cdef uint32_t a, b, c, d, e, f, g, h, first, second
    cdef int at
    for at in range(16):
        words[at] = (<uint32_t>block[4 * at] << 24) | (<uint32_t>block[4 * at + 1] << 16) \
            | (<uint32_t>block[4 * at + 2] << 8) | block[4 * at + 3]
    for at in range(16, 64):
        first = words[at - 15]
        second = words[at - 2]
        words[at] = words[at - 16] + words[at - 7] \
            + (_turned(first, 7) ^ _turned(first, 18) ^ (first >> 3)) \
            + (_turned(second, 17) ^ _turned(second, 19) ^ (second >> 10))
    a, b, c, d = state[0], state[1], state[2], state[3]
    e, f, g, h = state[4], state[5], state[6], state[7]
    for at in range(64):
        first = h + (_turned(e, 6) ^ _turned(e, 11) ^ _turned(e, 25)) + ((e & f) ^ (~e & g)) \
            + _ROUND[at] + words[at]
        second = (_turned(a, 2) ^ _turned(a, 13) ^ _turned(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))
        h = g
        g = f
        f = e
        e = d + first
        d = c
        c = b
        b = a
        a = first + second
    state[0] += a
    state[1] += b
    state[2] += c
    state[3] += d
    state[4] += e
    state[5] += f
    state[6] += g
    state[7] += h


cdef extern from *:
    """
    #if defined(__x86_64__) && defined(__GNUC__)
    #include <cpuid.h>
    #include <immintrin.h>

    static int sha256_is_built_in(void) {
        unsigned a, b, c, d;
        return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 29 & 1)
            && __get_cpuid(1, &a, &b, &c, &d) && (c >> 19 & 1);
    }

    /* Four rounds at a time; the state is held as the instructions want it: ABEF and CDGH. */
    __attribute__((target("sha,sse4.1,ssse3")))
    static void sha256_built_in(uint32_t *state, const uint8_t *block, const uint32_t *round) {
        const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
        __m128i low = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xB1);
        __m128i high = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1B);
        __m128i abef = _mm_alignr_epi8(low, high, 8), cdgh = _mm_blend_epi16(high, low, 0xF0);
        const __m128i abef_before = abef, cdgh_before = cdgh;
        __m128i words[4], sum;
        for (int at = 0; at < 16; at++) {
            __m128i *now = &words[at & 3];
            if (at < 4) {
                *now = _mm_loadu_si128((const __m128i *)(block + 16 * at));
                *now = _mm_shuffle_epi8(*now, big_endian);
            } else {
                const __m128i last = words[(at + 3) & 3];
                sum = _mm_sha256msg1_epu32(*now, words[(at + 1) & 3]);
                sum = _mm_add_epi32(sum, _mm_alignr_epi8(last, words[(at + 2) & 3], 4));
                *now = _mm_sha256msg2_epu32(sum, last);
            }
            sum = _mm_add_epi32(*now, _mm_loadu_si128((const __m128i *)(round + 4 * at)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0E));
        }
        abef = _mm_shuffle_epi32(_mm_add_epi32(abef, abef_before), 0x1B);
        cdgh = _mm_shuffle_epi32(_mm_add_epi32(cdgh, cdgh_before), 0xB1);
        _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(abef, cdgh, 0xF0));
        _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(cdgh, abef, 8));
    }
    #else
    static int sha256_is_built_in(void) { return 0; }
    static void sha256_built_in(uint32_t *state, const uint8_t *block, const uint32_t *round) {}
    #endif
    """
    bint sha256_is_built_in() noexcept nogil
    void sha256_built_in(uint32_t *state, const uint8_t *block, const uint32_t *round) noexcept nogil

cdef bint _is_built_in = sha256_is_built_in()
"""Whether the processor knows SHA-256 itself, as most do: five times as fast."""


cdef inline void _take_block(uint32_t *state, const uint8_t *block) noexcept nogil:
    if _is_built_in:
        sha256_built_in(state, block, _ROUND)
    else:
        _compress(state, block)


def use_built_in(bint wanted):
    """Whether the processor's own SHA-256 is used from now on, if it has one; for tests."""
    global _is_built_in
    _is_built_in = wanted and sha256_is_built_in()
    return _is_built_in


def sha256(bytes text):
    """The digest of a text; for tests."""
    cdef uint8_t[32] digest
    _sha256(<const uint8_t *>PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text), digest)
    return PyBytes_FromStringAndSize(<const char *>digest, 32)


cdef void _sha256(const uint8_t *text, Py_ssize_t size, uint8_t *digest) noexcept nogil:
    """The 32 bytes of the digest."""
    cdef uint32_t[8] state = [
        0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
    ]
    cdef uint8_t[128] end
    cdef Py_ssize_t whole = size - size % 64, at
    cdef int rest = <int>(size - whole), padded
    for at in range(0, whole, 64):
        _take_block(state, text + at)
    padded = 64 if rest < 56 else 128
    memset(end, 0, padded)
    memcpy(end, text + whole, rest)
    end[rest] = 0x80
    for at in range(8):
        end[padded - 1 - at] = <uint8_t>((<uint64_t>size * 8) >> (8 * at))
    _take_block(state, end)
    if padded == 128:
        _take_block(state, end + 64)
    for at in range(32):
        digest[at] = <uint8_t>(state[at // 4] >> (24 - 8 * (at % 4)))
