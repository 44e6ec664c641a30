// Eight numbers at once, with the vector extension of GCC and Clang, which works on every machine.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

#ifdef __AVX2__
#include <immintrin.h>
#endif

namespace {

struct Bfloat16 {
    uint16_t bits;
};

constexpr int WIDE = 8;
// None of these need be aligned in memory.
typedef float Lanes __attribute__((vector_size(WIDE * 4), aligned(4), may_alias));
typedef int32_t IntLanes __attribute__((vector_size(WIDE * 4), aligned(4), may_alias));
typedef uint16_t HalfLanes __attribute__((vector_size(WIDE * 2), aligned(2), may_alias));
typedef int16_t ShortLanes __attribute__((vector_size(WIDE * 2), aligned(2), may_alias));
typedef int16_t ShortPair __attribute__((vector_size(WIDE * 4), aligned(2), may_alias));
typedef uint8_t UnsignedBytePair __attribute__((vector_size(WIDE * 2), aligned(1), may_alias));
typedef int8_t BytePair __attribute__((vector_size(WIDE * 2), aligned(1), may_alias));

struct Pair {
    Lanes low, high;
};

// To numbers of twice the width. (GCC 12 knows the pattern, but takes it apart into halves.)
#ifdef __AVX2__
inline ShortPair widen(BytePair x) {
    return reinterpret_cast<ShortPair>(_mm256_cvtepi8_epi16(reinterpret_cast<__m128i>(x)));
}
inline ShortPair widen(UnsignedBytePair x) {
    return reinterpret_cast<ShortPair>(_mm256_cvtepu8_epi16(reinterpret_cast<__m128i>(x)));
}
inline IntLanes widen(HalfLanes x) {
    return reinterpret_cast<IntLanes>(_mm256_cvtepu16_epi32(reinterpret_cast<__m128i>(x)));
}
inline IntLanes widen(ShortLanes x) {
    return reinterpret_cast<IntLanes>(_mm256_cvtepi16_epi32(reinterpret_cast<__m128i>(x)));
}
#else
inline ShortPair widen(BytePair x) { return __builtin_convertvector(x, ShortPair); }
inline ShortPair widen(UnsignedBytePair x) { return __builtin_convertvector(x, ShortPair); }
inline IntLanes widen(HalfLanes x) { return __builtin_convertvector(x, IntLanes); }
inline IntLanes widen(ShortLanes x) { return __builtin_convertvector(x, IntLanes); }
#endif

inline Lanes& lanes(float* x) { return *reinterpret_cast<Lanes*>(x); }
inline Lanes load_lanes(const float* x) { return *reinterpret_cast<const Lanes*>(x); }
inline IntLanes load_lanes(const int32_t* x) { return *reinterpret_cast<const IntLanes*>(x); }
inline Lanes load_lanes(const Bfloat16* x) {
    const auto half = *reinterpret_cast<const HalfLanes*>(x);
    return reinterpret_cast<Lanes>(widen(half) << 16);
}
inline Lanes to_float(IntLanes x) { return __builtin_convertvector(x, Lanes); }

// Sixteen neighbours.
template <typename Number>
inline Pair load_pair(const Number* x) {
    return {load_lanes(x), load_lanes(x + WIDE)};
}
template <>
inline Pair load_pair(const int8_t* x) {
    const ShortPair both = widen(*reinterpret_cast<const BytePair*>(x));
    ShortLanes halves[2];
    std::memcpy(halves, &both, sizeof both);
    return {to_float(widen(halves[0])), to_float(widen(halves[1]))};
}
inline void store_pair(float* x, Pair pair) { lanes(x) = pair.low, lanes(x + WIDE) = pair.high; }

inline float load(float x) { return x; }
inline float load(int8_t x) { return x; }
inline float load(Bfloat16 x) {
    const uint32_t wide = uint32_t(x.bits) << 16;
    float result;
    std::memcpy(&result, &wide, 4);
    return result;
}

// Rounds to the nearest, ties to even; NaN stays NaN.
inline Bfloat16 to_bfloat16(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, 4);
    if (x != x) return {uint16_t(bits >> 16 | 0x40)};
    return {uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

inline float sum(Lanes x) {
    float total = 0;
    for (int p = 0; p < WIDE; ++p) total += x[p];
    return total;
}

// exp(x) for x <= 0 to about 1e-7: 2^n by the exponent's bits times a polynomial (Cephes' expf).
inline Lanes exp_below_zero(Lanes x) {
    x = x < -87.0f ? Lanes{} - 87.0f : x;  // NaN stays NaN
    const IntLanes n = __builtin_convertvector(x * 1.44269504f - 0.5f, IntLanes);
    const Lanes whole = to_float(n);
    const Lanes r = x - whole * 0.693359375f - whole * -2.12194440e-4f;
    Lanes p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    return p * reinterpret_cast<Lanes>((n + 127) << 23);
}

inline Lanes sigmoid(Lanes x) {
    const Lanes small = exp_below_zero(x < 0.0f ? x : -x);
    return (x < 0.0f ? small : Lanes{} + 1.0f) / (small + 1.0f);
}

}  // namespace
