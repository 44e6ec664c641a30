// Weights of 8 or 4 bits, multiplied with inputs of 16 bits.
//
// One instruction multiplies sixteen pairs of integers and adds neighbours. Integers add up
// exactly; the sum over a GROUP of inputs is scaled and added as a float, group after group.
#pragma once

#include "panels.hpp"

namespace {

// Sixteen whole numbers, two inputs of eight outputs, times those two inputs, added to eight sums.
inline IntLanes add_products(IntLanes sums, ShortPair weights, int32_t two_inputs) {
#ifdef __AVX2__
    const auto products = _mm256_madd_epi16(reinterpret_cast<__m256i>(weights),
                                            _mm256_set1_epi32(two_inputs));
    return sums + reinterpret_cast<IntLanes>(products);
#else
    int16_t inputs[2];
    std::memcpy(inputs, &two_inputs, sizeof inputs);
    for (int i = 0; i < WIDE; ++i)
        sums[i] += weights[2 * i] * inputs[0] + weights[2 * i + 1] * inputs[1];
    return sums;
#endif
}

// weight = number * scale + least, where GROUP inputs of an output share scale and least (bfloat16).
// 8 bits: numbers from -127 to 127, and no least. Two inputs of output 0, of output 1 ...
// 4 bits: numbers from 0 to 15. The low halves of 32 bytes are two inputs, the high halves the next.
template <int BITS>
struct IntegerPanel {
    static constexpr bool HAS_LEAST = BITS == 4;
    static constexpr int SCALES = (HAS_LEAST ? 2 : 1) * PANEL;  // of a group
    const char* numbers = nullptr;
    const Bfloat16* scales = nullptr;

    static int64_t bytes(int64_t inputs) {
        return inputs * PANEL * BITS / 8 + inputs / GROUP * SCALES * 2;
    }
    IntegerPanel() = default;
    IntegerPanel(const char* panel, int64_t inputs)
        : numbers(panel),
          scales(reinterpret_cast<const Bfloat16*>(panel + inputs * PANEL * BITS / 8)) {}

    // Inputs k and k + 1 of outputs 8 * half and following.
    ShortPair at(int64_t k, int half) const {
        const char* from = numbers + k / (16 / BITS) * 2 * PANEL + half * 2 * WIDE;
        if (BITS == 8) return widen(*reinterpret_cast<const BytePair*>(from));
        const ShortPair both = widen(*reinterpret_cast<const UnsignedBytePair*>(from));
        return k % 4 ? both >> 4 : both & 15;
    }
};

template <int BITS>
struct IntegerKernel {
    using Panel = IntegerPanel<BITS>;
    const Rows& rows;
    const WholeRows& whole;
    int64_t inputs;

    // Rounds the rows; all threads share the work, which ends with a barrier.
    IntegerKernel(const Rows& rows, WholeRows& whole, int64_t inputs)
        : rows(rows), whole(whole), inputs(inputs) {
        const int64_t n_groups = inputs / GROUP;
#pragma omp for collapse(2) schedule(static)
        for (int64_t row = 0; row < rows.count; ++row)
            for (int64_t group = 0; group < n_groups; ++group) {
                const int64_t to = row * n_groups + group;
                round_group(rows.numbers + row * rows.stride + group * GROUP,
                            whole.numbers.data() + to * GROUP, whole.scales[to], whole.sums[to]);
            }
    }
    int64_t bytes() const { return Panel::bytes(inputs); }

    static void round_group(const float* from, int16_t* to, float& scale, float& sum) {
        Lanes largest = {};
        IntLanes numberless = {};
        for (int i = 0; i < GROUP; i += WIDE) {
            const Lanes x = load_lanes(from + i), size = x < 0.0f ? -x : x;
            largest = size > largest ? size : largest;
            numberless |= x != x;
        }
        float most = 0;
        bool all_numbers = true;
        for (int i = 0; i < WIDE; ++i) {
            most = std::max(most, largest[i]);
            all_numbers &= !numberless[i];
        }
        scale = all_numbers ? most / 32767.0f : NAN;  // NaN must stay NaN
        const float per_scale = most > 0 ? 32767.0f / most : 0.0f;
        int32_t total = 0;
        for (int i = 0; i < GROUP; i += WIDE) {
            const Lanes x = load_lanes(from + i) * per_scale;
            const Lanes half = x < 0.0f ? Lanes{} - 0.5f : Lanes{} + 0.5f;
            const IntLanes whole = __builtin_convertvector(x + half, IntLanes);
            for (int j = 0; j < WIDE; ++j) {
                to[i + j] = int16_t(whole[j]);
                total += int16_t(whole[j]);
            }
        }
        sum = float(total);
    }

    // out (M, P panels)
    template <int M, int P>
    void add_up(int64_t first_row, const Panel* panels, float* out) const {
        const int64_t n_groups = inputs / GROUP;
        const int16_t* from = whole.numbers.data() + first_row * inputs;
        const int64_t scales_at = first_row * n_groups;
        Pair sums[M][P] = {};
        for (int64_t group = 0; group < n_groups; ++group) {
            IntLanes products[M][P][2] = {};
#pragma GCC unroll 4
            for (int64_t k = group * GROUP; k < (group + 1) * GROUP; k += 2) {
                ShortPair weights[P][2];
                for (int p = 0; p < P; ++p)
                    for (int half = 0; half < 2; ++half) weights[p][half] = panels[p].at(k, half);
                for (int m = 0; m < M; ++m) {
                    int32_t two;
                    std::memcpy(&two, from + m * inputs + k, sizeof two);
                    for (int p = 0; p < P; ++p)
                        for (int half = 0; half < 2; ++half)
                            products[m][p][half] =
                                add_products(products[m][p][half], weights[p][half], two);
                }
            }
            for (int p = 0; p < P; ++p) {
                const Bfloat16* scales = panels[p].scales + group * Panel::SCALES;
                const Pair scale = load_pair(scales);
                for (int m = 0; m < M; ++m) {
                    const int64_t at = scales_at + m * n_groups + group;
                    const float row_scale = whole.scales[at];
                    // One product for each sum: there is only one way to fuse the two.
                    sums[m][p].low += to_float(products[m][p][0]) * (scale.low * row_scale);
                    sums[m][p].high += to_float(products[m][p][1]) * (scale.high * row_scale);
                    if (!Panel::HAS_LEAST) continue;
                    const Pair least = load_pair(scales + PANEL);
                    const float row_sum = whole.sums[at] * row_scale;
                    sums[m][p].low += row_sum * least.low;
                    sums[m][p].high += row_sum * least.high;
                }
            }
        }
        for (int m = 0; m < M; ++m)
            for (int p = 0; p < P; ++p) store_pair(out + (m * P + p) * PANEL, sums[m][p]);
    }

    template <int M, int P>
    void few(const char* packed, float* out) const {
        Panel panels[P];
        for (int p = 0; p < P; ++p) panels[p] = Panel(packed + p * bytes(), inputs);
        add_up<M, P>(0, panels, out);
    }

    void many(int64_t first_row, int64_t count, const char* packed, float* out) const {
        const Panel panel(packed, inputs);
        for (int64_t m = 0; m < count; m += ROWS)
            with_rows(std::min<int64_t>(ROWS, count - m), [&](auto n) {
                add_up<decltype(n)::value, 1>(first_row + m, &panel, out + m * PANEL);
            });
    }
};

}  // namespace
