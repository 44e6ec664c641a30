// Weights of 32 or 16 bits, multiplied as floats.
//
// One input at a time is multiplied with the panel's weights and added to its sums, so every sum
// adds its products in the order of the inputs, however many rows there are.
#pragma once

#include "panels.hpp"

namespace {

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

}  // namespace
