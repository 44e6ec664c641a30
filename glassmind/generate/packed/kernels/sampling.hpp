// Logits to tokens: what sampling/sampler.py computes, for rows that are modified by nothing but a
// temperature, top-k, top-p and min-p.
//
// Each row is drawn by itself, always in the same order: its token and log-probabilities do not
// depend, to the bit, on the rest of the batch.
#pragma once

#include "lanes.hpp"

namespace {

// How the tokens of a row are chosen (request.py). Temperature 0 is greedy.
struct Choice {
    int64_t seed, sample, top_k;
    float temperature, top_p, min_p, unused;
    int64_t first_stop, n_stops;  // tokens that end it, in a list that all rows share

    bool filters() const { return top_k > 0 || top_p < 1.0f || min_p > 0.0f; }
};

struct Drawn {
    int64_t token;
    float logprob, sampled_logprob;
};

// The random number of a stream (seed, sample) at a step: random_numbers.py.
constexpr uint64_t GAMMA = 0x9E3779B97F4A7C15u;

inline uint64_t mix(uint64_t x) {
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

inline float uniform(const Choice& choice, int64_t step) {
    const uint64_t key =
        mix(mix(uint64_t(choice.seed) + GAMMA) + uint64_t(choice.sample + 1) * GAMMA);
    return float(mix(key + uint64_t(step + 1) * GAMMA) >> 40) * 0x1p-24f;
}

// weights = exp(scores) where they are at least `least`, else 0; the scores are 0 or less. Returns
// the sum. The weights may be the scores, or nothing.
inline double exponentiate(const float* scores, int64_t count, float least, float* weights) {
    typedef double DoubleLanes __attribute__((vector_size(WIDE * 8)));
    DoubleLanes sums = {};
    const auto some = [&](Lanes x) {
        // NaN is not below anything: it gets into the sum, and draw() sees it.
        const Lanes out = x < least || x < -87.0f ? Lanes{} : exp_below_zero(x);
        sums += __builtin_convertvector(out, DoubleLanes);
        return out;
    };
    int64_t i = 0;
    for (; i + WIDE <= count; i += WIDE) {
        const Lanes out = some(load_lanes(scores + i));
        if (weights) lanes(weights + i) = out;
    }
    if (i < count) {
        float rest[WIDE];
        std::fill(rest, rest + WIDE, -INFINITY);
        std::copy(scores + i, scores + count, rest);
        lanes(rest) = some(lanes(rest));
        if (weights) std::copy(rest, rest + (count - i), weights + i);
    }
    double total = 0;
    for (int p = 0; p < WIDE; ++p) total += sums[p];
    return total;
}

// The least score that top-k, top-p and min-p keep (filters.py). The largest score is 0; `sorted`
// and `weights` are room for `count` numbers.
inline float threshold(const float* scores, int64_t count, const Choice& choice, float* sorted,
                       float* weights) {
    constexpr int64_t NUCLEUS = 64;  // seldom holds more
    float least = -INFINITY;
    int64_t kept = count;
    std::copy(scores, scores + count, sorted);
    const auto descending = std::greater<float>();
    if (choice.top_k > 0 && choice.top_k < count) {
        std::nth_element(sorted, sorted + choice.top_k - 1, sorted + count, descending);
        least = sorted[choice.top_k - 1];
        kept = std::copy_if(scores, scores + count, sorted, [=](float x) { return x >= least; }) -
               sorted;
    }
    if (choice.top_p < 1.0f) {
        const float goal = float(exponentiate(sorted, kept, -INFINITY, nullptr)) * choice.top_p;
        double sum = 0;
        int64_t at = 0;
        for (const int64_t end : {std::min(kept, NUCLEUS), kept}) {
            std::partial_sort(sorted + at, sorted + end, sorted + kept, descending);
            exponentiate(sorted + at, end - at, -INFINITY, weights + at);
            while (at < end && float(sum += weights[at]) < goal) ++at;
            if (at < end) break;
        }
        // Rounding can leave the whole sum a hair short of a top_p just below 1.
        least = std::max(least, sorted[std::min(at, kept - 1)]);
    }
    return choice.min_p > 0.0f ? std::max(least, std::log(choice.min_p)) : least;
}

// The next token of a row, which has drawn `step` before. `room` is for three times `vocab`.
inline Drawn draw(const float* logits, int64_t vocab, const Choice& choice, int64_t step,
                  float* room) {
    float *scores = room, *weights = room + vocab;
    const int64_t best = std::max_element(logits, logits + vocab) - logits;
    const float peak = logits[best];
    for (int64_t i = 0; i < vocab; ++i) scores[i] = logits[i] - peak;
    const double log_total = std::log(exponentiate(scores, vocab, -INFINITY, weights));
    const auto unmodified = [&](int64_t token) {
        return float(double(logits[token]) - double(peak) - log_total);
    };
    if (log_total != log_total) return {best, NAN, NAN};  // the logits are not numbers
    if (choice.temperature == 0.0f) return {best, unmodified(best), 0.0f};
    const bool modified = choice.temperature != 1.0f || choice.filters();
    if (modified) {
        if (choice.temperature != 1.0f)
            for (int64_t i = 0; i < vocab; ++i) scores[i] /= choice.temperature;
        const float least = choice.filters()
                                ? threshold(scores, vocab, choice, weights, weights + vocab)
                                : -INFINITY;
        exponentiate(scores, vocab, least, weights);
    }
    // The weights are laid end to end on a line; the token that covers a random point is taken.
    double end = 0;
    for (int64_t i = 0; i < vocab; ++i) weights[i] = float(end += weights[i]);
    const float point = uniform(choice, step) * weights[vocab - 1];
    const int64_t found = std::upper_bound(weights, weights + vocab, point) - weights;
    const int64_t token = std::min(found, vocab - 1);
    const float logprob = unmodified(token);
    if (!modified) return {token, logprob, logprob};
    return {token, logprob, std::min(0.0f, float(double(scores[token]) - std::log(end)))};
}

}  // namespace
