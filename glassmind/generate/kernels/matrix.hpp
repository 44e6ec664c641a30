// A batch of rows times a matrix whose weights take 32, 16, 8 or 4 bits.
//
// A matrix (N outputs, K inputs) lies in *panels* of PANEL outputs; within a panel, input after
// input, the PANEL weights that it has there. One input at a time is multiplied with the panel's
// weights and added to PANEL sums that stay in registers. So every sum adds its products in the
// order of the inputs, however many rows the batch has and whoever computes the panel: what comes
// out for a row does not depend, to the bit, on the rest of the batch.
//
// With few rows, time goes by reading the weights from memory, and small ones are read faster.
// With many, it goes by multiplying.
#pragma once

#include "lanes.hpp"

#ifdef _OPENMP
#include <omp.h>
#endif

namespace {

#ifndef _OPENMP
inline int omp_get_num_threads() { return 1; }
inline int omp_get_thread_num() { return 0; }
#endif

constexpr int PANEL = 16;   // outputs of a panel: a pair of lanes
constexpr int GROUP = 32;   // inputs that share a scale
constexpr int PIECE = 256;  // inputs unpacked at a time: 16 KiB, which the nearest cache holds
constexpr int ROWS = 6;     // rows at once: 12 sums, 2 weights and 1 input fill 16 registers
constexpr int SIDE = 4;     // panels side by side for a single row: 8 sums hide an addition's wait
constexpr int PAIR = 2;     // panels side by side for two or three; what a matrix is made up of
constexpr int TILE = 32 * ROWS;  // rows that pass over a panel together and stay in the cache

enum Format : int64_t { FLOAT32, BFLOAT16, INT8, INT4 };

struct Matrix {
    const char* panels;
    const float* bias;  // or none
    int64_t inputs, outputs, format;  // inputs: a multiple of GROUP
    int64_t n_pairs() const { return (outputs + PAIR * PANEL - 1) / (PAIR * PANEL); }
};

// The rows of a batch, `stride` numbers each, zeros where a row is shorter than its matrix reads.
struct Rows {
    const float* numbers;
    int64_t stride, count;
};

// The same in whole numbers of 16 bits: number = whole * scale, one scale a GROUP.
struct WholeRows {
    std::vector<int16_t> numbers;
    std::vector<float> scales, sums;  // sums of a GROUP's whole numbers

    void make_room(int64_t count, int64_t width) {
        if (numbers.size() >= size_t(count * width)) return;
        numbers.resize(count * width);
        scales.resize(count * width / GROUP);
        sums.resize(count * width / GROUP);
    }
};

// ---------------------------------------------------------------------------- weights as floats

template <typename Number>
struct FloatPanel {
    const Number* weights = nullptr;
    FloatPanel() = default;
    explicit FloatPanel(const void* panel) : weights(static_cast<const Number*>(panel)) {}
    Pair at(int64_t k) const { return load_pair(weights + k * PANEL); }
};

// out (M, P panels) += inputs [first, last) of M rows times P panels; `first` 0 begins at zero.
template <int M, int P, typename Panel>
inline void multiply(const float* rows, int64_t stride, const Panel* panels, int64_t first,
                     int64_t last, float* out) {
    Pair sums[M][P] = {};
    if (first)
        for (int m = 0; m < M; ++m)
            for (int p = 0; p < P; ++p) sums[m][p] = load_pair(out + (m * P + p) * PANEL);
#pragma GCC unroll 4
    for (int64_t k = first; k < last; ++k) {
        Pair weights[P];
        for (int p = 0; p < P; ++p) weights[p] = panels[p].at(k);
        for (int m = 0; m < M; ++m) {
            const float x = rows[m * stride + k];
            for (int p = 0; p < P; ++p) {
                sums[m][p].low += x * weights[p].low;
                sums[m][p].high += x * weights[p].high;
            }
        }
    }
    for (int m = 0; m < M; ++m)
        for (int p = 0; p < P; ++p) store_pair(out + (m * P + p) * PANEL, sums[m][p]);
}

// `kernel` for as many rows as there are, at most ROWS: the count has to be known when compiling.
template <typename Kernel>
inline void with_rows(int64_t n_rows, const Kernel& kernel) {
    switch (n_rows) {
        case 1: return kernel(std::integral_constant<int, 1>());
        case 2: return kernel(std::integral_constant<int, 2>());
        case 3: return kernel(std::integral_constant<int, 3>());
        case 4: return kernel(std::integral_constant<int, 4>());
        case 5: return kernel(std::integral_constant<int, 5>());
        case 6: return kernel(std::integral_constant<int, ROWS>());
    }
}

template <typename Number>
struct FloatKernel {
    using Panel = FloatPanel<Number>;
    const Rows& rows;
    int64_t inputs;

    FloatKernel(const Rows& rows, WholeRows&, int64_t inputs) : rows(rows), inputs(inputs) {}
    int64_t bytes() const { return inputs * PANEL * int64_t(sizeof(Number)); }

    // A row, or two or three, straight from the packed weights: out (M, P panels).
    template <int M, int P>
    void few(const char* packed, float* out) const {
        Panel panels[P];
        for (int p = 0; p < P; ++p) panels[p] = Panel(packed + p * bytes());
        multiply<M, P>(rows.numbers, rows.stride, panels, 0, inputs, out);
    }

    // Any number of rows: a piece of one panel is unpacked, then all pass over it. out (rows, PANEL)
    void many(int64_t first_row, int64_t count, const char* packed, float* out) const {
        alignas(64) float piece[PIECE * PANEL];
        const Panel panel(packed);
        const float* from = rows.numbers + first_row * rows.stride;
        for (int64_t first = 0; first < inputs; first += PIECE) {
            const int64_t last = std::min<int64_t>(first + PIECE, inputs);
            for (int64_t k = first; k < last; ++k)
                store_pair(piece + (k - first) * PANEL, panel.at(k));
            const FloatPanel<float> unpacked(piece - first * PANEL);
            for (int64_t m = 0; m < count; m += ROWS)
                with_rows(std::min<int64_t>(ROWS, count - m), [&](auto n) {
                    multiply<decltype(n)::value, 1>(from + m * rows.stride, rows.stride,
                                                    &unpacked, first, last, out + m * PANEL);
                });
        }
    }
};

// ---------------------------------------------------------------------------- weights as integers

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

    // Rounds the rows; all threads share the work and meet at its end.
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
        scale = all_numbers ? most / 32767.0f : NAN;  // what is no number must stay so
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

// ---------------------------------------------------------------------------- both

// To be called by all threads of a parallel region, which meet again at its end.
// write(row, first output, number of outputs, sums) gets each result once, biases added.
template <typename Kernel, typename Write>
void multiply_all(const Matrix& matrix, const Rows& rows, WholeRows& whole, const Write& write) {
    const Kernel kernel(rows, whole, matrix.inputs);
    const int64_t bytes = kernel.bytes(), n_panels = matrix.n_pairs() * PAIR;
    const auto finish = [&](float* sums, int64_t row, int64_t panel) {
        const int64_t first = panel * PANEL;
        const int64_t count = std::min<int64_t>(PANEL, matrix.outputs - first);
        if (count <= 0) return;  // added to make up a pair
        if (matrix.bias)
            for (int64_t i = 0; i < count; ++i) sums[i] += matrix.bias[first + i];
        write(row, first, count, sums);
    };
    alignas(64) float sums[TILE * PANEL];
    if (rows.count <= 3) {
        const auto run = [&](auto count, auto panels, int64_t at) {
            constexpr int M = decltype(count)::value, P = decltype(panels)::value;
            kernel.template few<M, P>(matrix.panels + at * bytes, sums);
            for (int m = 0; m < M; ++m)
                for (int p = 0; p < P; ++p) finish(sums + (m * P + p) * PANEL, m, at + p);
        };
        const std::integral_constant<int, PAIR> pair;
        const std::integral_constant<int, SIDE> side;
        // Shares by hand, so that all threads but one can have whole sides.
        const int64_t n_threads = omp_get_num_threads(), thread = omp_get_thread_num();
        const int64_t end = matrix.n_pairs() * (thread + 1) / n_threads * PAIR;
        int64_t at = matrix.n_pairs() * thread / n_threads * PAIR;
        if (rows.count == 1) {
            const std::integral_constant<int, 1> one;
            for (; at + SIDE <= end; at += SIDE) run(one, side, at);
            for (; at < end; at += PAIR) run(one, pair, at);
        } else if (rows.count == 2) {
            for (; at < end; at += PAIR) run(std::integral_constant<int, 2>(), pair, at);
        } else {
            for (; at < end; at += PAIR) run(std::integral_constant<int, 3>(), pair, at);
        }
#pragma omp barrier
        return;
    }
    const int64_t n_tiles = (rows.count + TILE - 1) / TILE;
#pragma omp for collapse(2) schedule(static)
    for (int64_t tile = 0; tile < n_tiles; ++tile)
        for (int64_t panel = 0; panel < n_panels; ++panel) {
            const int64_t first = tile * TILE, count = std::min<int64_t>(TILE, rows.count - first);
            kernel.many(first, count, matrix.panels + panel * bytes, sums);
            for (int64_t m = 0; m < count; ++m) finish(sums + m * PANEL, first + m, panel);
        }
}

template <typename Write>
void multiply_all(const Matrix& matrix, const Rows& rows, WholeRows& whole, const Write& write) {
    switch (Format(matrix.format)) {
        case FLOAT32: return multiply_all<FloatKernel<float>>(matrix, rows, whole, write);
        case BFLOAT16: return multiply_all<FloatKernel<Bfloat16>>(matrix, rows, whole, write);
        case INT8: return multiply_all<IntegerKernel<8>>(matrix, rows, whole, write);
        case INT4: return multiply_all<IntegerKernel<4>>(matrix, rows, whole, write);
    }
}

}  // namespace
