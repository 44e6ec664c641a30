"""Why models changed a value: a sentence and a paper for every field in which two presets differ.

``REASONS[field]`` maps the new value to the reason. The key is the value as a recipe writes it
(``"rope"``, ``"true"``, ``"0"``), or ``"more"`` and ``"less"`` for a number that grew or shrank, or
``"any"``; the first match in this order is used. A sentence gives the authors' reason for the
change, or states that no paper argues for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Paper:
    """A source: authors and year, and its arXiv number, empty if it has none."""

    cite: str
    arxiv: str = ""

    def __str__(self) -> str:
        return f"{self.cite}, arXiv {self.arxiv}" if self.arxiv else self.cite


@dataclass(frozen=True)
class Reason:
    """One sentence and its paper."""

    why: str
    paper: Paper


VASWANI = Paper("Vaswani et al. 2017", "1706.03762")
GPT2 = Paper("Radford et al. 2019")
BLOOM = Paper("Le Scao et al. 2022", "2211.05100")
PALM = Paper("Chowdhery et al. 2022", "2204.02311")
LLAMA2 = Paper("Touvron et al. 2023", "2307.09288")
LLAMA3 = Paper("Grattafiori et al. 2024", "2407.21783")
LLAMA31_CODE = Paper("Meta's llama-models 2024")
MISTRAL = Paper("Jiang et al. 2023", "2310.06825")
MIXTRAL = Paper("Jiang et al. 2024", "2401.04088")
DEEPSEEK_MOE = Paper("Dai et al. 2024", "2401.06066")
DEEPSEEK_V2 = Paper("DeepSeek-AI 2024", "2405.04434")
DEEPSEEK_V3 = Paper("DeepSeek-AI 2024", "2412.19437")
GEMMA2 = Paper("Gemma team 2024", "2408.00118")
GEMMA3 = Paper("Gemma team 2025", "2503.19786")
OLMO2 = Paper("OLMo team 2025", "2501.00656")
OLMO3 = Paper("OLMo team 2025", "2512.13961")
QWEN3 = Paper("Yang et al. 2025", "2505.09388")
SMOLLM2 = Paper("Ben Allal et al. 2025", "2502.02737")
LAYERNORM = Paper("Ba et al. 2016", "1607.06450")
RMSNORM = Paper("Zhang & Sennrich 2019", "1910.07467")
GQA = Paper("Ainslie et al. 2023", "2305.13245")
ROPE = Paper("Su et al. 2021", "2104.09864")
YARN = Paper("Peng et al. 2023", "2309.00071")
LONG_CONTEXT = Paper("Xiong et al. 2023", "2309.16039")
GLU = Paper("Shazeer 2020", "2002.05202")
MIXTURE = Paper("Shazeer et al. 2017", "1701.06538")
HYBRID_NOPE = Paper("Yang et al. 2025", "2501.18795")

_HABIT = Reason("Early fully connected layers had a bias for every matrix by convention.", VASWANI)
_NO_BIAS = Reason("Large runs were more stable without biases, at no loss of quality.", PALM)
_ONE_OF_MANY = Reason(
    "Many small experts can be combined in far more ways than a few large ones at the same cost.",
    DEEPSEEK_MOE,
)
_GROUPS = Reason(
    "A group of experts is placed on one machine, and a token is sent only to the best "
    "few groups, so that it is sent to few machines.",
    DEEPSEEK_V3,
)
_NO_GROUPS = Reason("All experts compete with all others.", MIXTURE)

REASONS: Mapping[str, Mapping[str, Reason]] = {
    "norm": {
        "layernorm": Reason(
            "Normalising every vector to mean 0 and variance 1 stabilises training and does not "
            "depend on the rest of the batch.",
            LAYERNORM,
        ),
        "rmsnorm": Reason(
            "Dividing by the root mean square is what matters in normalising: subtracting the "
            "mean and adding a bias cost time and gain almost nothing.",
            RMSNORM,
        ),
    },
    "norm_eps": {
        "any": Reason(
            "It prevents division by zero; each code base has its own power of ten, and no paper "
            "argues for one.",
            RMSNORM,
        )
    },
    "norm_placement": {
        "residual": Reason(
            "Normalising every sum keeps the residual stream at one scale, but the norms lie on "
            "the gradients' path to the lower blocks, so training needs a careful warm-up.",
            VASWANI,
        ),
        "before": Reason(
            "A branch that reads a normalised copy leaves the sum unchanged, so gradients reach "
            "the first block directly and training needs no careful warm-up.",
            Paper("Xiong et al. 2020", "2002.04745"),
        ),
        "after": Reason(
            "Normalising a branch's output, not its input, bounds what a block can add; together "
            "with norms on queries and keys it made training clearly more stable.",
            OLMO2,
        ),
        "around": Reason(
            "A norm on each side of a branch bounds both its input and its output.", GEMMA2
        ),
    },
    "final_norm": {
        "true": Reason(
            "If the sums are not normalised in the blocks, the last one must be before the logits.",
            GPT2,
        ),
        "false": Reason(
            "If every sum is normalised in the blocks, the last one needs no further norm.", VASWANI
        ),
    },
    "tie_embeddings": {
        "true": Reason(
            "One matrix for input and output embeddings saves, in a small model with a large "
            "vocabulary, a large part of all parameters.",
            Paper("Press & Wolf 2017", "1608.05859"),
        ),
        "false": Reason(
            "In a large model a second matrix is a small share of the parameters, and input and "
            "output embeddings have different tasks.",
            Paper("Chung et al. 2020", "2010.12821"),
        ),
    },
    "scale_embedding": {
        "true": Reason(
            "The paper gives no reason; the usual one is that a matrix which is also the output "
            "layer has small entries, and multiplying by √d_model makes them large enough compared "
            "with the positions that are added.",
            VASWANI,
        ),
        "false": Reason(
            "Dropped without a reason; if every branch normalises its input, the embedding's "
            "scale hardly matters.",
            GPT2,
        ),
    },
    "embedding_norm": {
        "true": Reason(
            "A norm right after the embedding stabilised trial runs in float16, at some cost in "
            "quality; it was kept because the large run was too expensive to lose.",
            BLOOM,
        ),
        "false": Reason(
            "The norm after the embedding costs some quality, and training in bfloat16 is stable "
            "without it.",
            Paper("Le Scao et al. 2022", "2210.15424"),
        ),
    },
    "attention.n_kv_heads": {
        "0": Reason(
            "Every head has its own keys and values: the largest cache, which a small model or a "
            "short context can afford.",
            VASWANI,
        ),
        "1": Reason(
            "All heads share a single key and value, the smallest cache that is not compressed.",
            Paper("Shazeer 2019", "1911.02150"),
        ),
        "more": Reason(
            "Fewer heads share a key and value: a larger cache, and more capacity per head.",
            GQA,
        ),
        "any": Reason(
            "Several query heads share one key and value: the cache, whose reading limits the "
            "speed of generation, shrinks by that factor at almost no loss.",
            GQA,
        ),
    },
    "attention.head_dim": {
        "0": Reason("The heads divide d_model evenly, as in the original.", VASWANI),
        "any": Reason(
            "A head's width is chosen independently, because dividing d_model by many heads "
            "leaves each too narrow to distinguish many keys.",
            Paper("Bhojanapalli et al. 2020", "2002.07028"),
        ),
    },
    "attention.qk_norm": {
        "true": Reason(
            "Queries and keys of bounded length give bounded scores, so that no head can saturate "
            "with all its weight on one token, which often precedes a diverging run.",
            Paper("Henry et al. 2020", "2010.04245"),
        ),
        "false": Reason(
            "Scores are the plain dot products: one norm less in every head, but only a moderate "
            "learning rate keeps the scores from growing.",
            VASWANI,
        ),
    },
    "attention.qk_norm_over": {
        "all": Reason(
            "One norm spans all heads: it bounds them together and keeps their relative "
            "magnitudes; the report gives no reason.",
            OLMO2,
        ),
        "head": Reason(
            "Each head is normalised separately, which bounds every score, and works unchanged "
            "when heads are on different machines.",
            QWEN3,
        ),
    },
    "attention.bias": {
        "true": Reason(
            "Early models had biases for queries, keys and values by convention; Qwen restored "
            "them because RoPE extrapolated better with them.",
            Paper("Bai et al. 2023", "2309.16609"),
        ),
        "false": _NO_BIAS,
    },
    "attention.output_bias": {"true": _HABIT, "false": _NO_BIAS},
    "attention.window": {
        "0": Reason(
            "Every layer sees the whole text, so that every token is reached directly; the paper "
            "gives no reason.",
            MIXTRAL,
        ),
        "less": Reason(
            "With some layers that see everything, the window of the others can shrink to a few "
            "hundred tokens at almost no loss.",
            GEMMA3,
        ),
        "any": Reason(
            "A layer with a window has the same cost for every token and a cache of fixed size; "
            "over several layers, information still travels further.",
            MISTRAL,
        ),
    },
    "attention.global_every": {
        "0": Reason("All layers are alike, and all have the window.", MISTRAL),
        "less": Reason(
            "More layers see everything: a larger cache for better use of long contexts.", OLMO3
        ),
        "any": Reason(
            "Most layers are local, and every n-th sees everything: most of the cache is saved, "
            "and long contexts work almost as well.",
            GEMMA3,
        ),
    },
    "attention.latent.kv_rank": {
        "0": Reason("Keys and values are cached directly, which every kernel supports.", GQA),
        "any": Reason(
            "All heads' keys and values are projected from one short vector per token, and only "
            "that is cached: less than with grouped queries, without sharing between heads.",
            DEEPSEEK_V2,
        ),
    },
    "attention.latent.q_rank": {
        "any": Reason(
            "Queries are projected through a short vector too; this does not shrink the cache, "
            "but saves activation memory in training.",
            DEEPSEEK_V2,
        )
    },
    "attention.latent.content_dim": {
        "any": Reason("The width of the key that each head projects from the latent.", DEEPSEEK_V2)
    },
    "attention.latent.rope_dim": {
        "any": Reason(
            "A rotation between the latent and the projection would prevent merging their "
            "matrices, so positions are in a small extra key that all heads share.",
            DEEPSEEK_V2,
        )
    },
    "attention.latent.value_dim": {
        "any": Reason(
            "The width of the value that each head projects from the latent.", DEEPSEEK_V2
        )
    },
    "positions.kind": {
        "sinusoidal": Reason(
            "Fixed waves of many lengths, added to the embedding, give every position its own "
            "pattern without parameters.",
            VASWANI,
        ),
        "learned": Reason(
            "A trained vector for each position is the simplest solution, but ends at the last "
            "trained position.",
            GPT2,
        ),
        "rope": Reason(
            "Rotating queries and keys by an angle proportional to their position makes a score "
            "depend on the distance between two tokens, without parameters and in every layer.",
            ROPE,
        ),
        "alibi": Reason(
            "Lowering each score in proportion to the distance, in some heads more than in "
            "others, still works on texts longer than any in training.",
            Paper("Press et al. 2021", "2108.12409"),
        ),
        "t5": Reason(
            "A trained number for each head and range of distances is added to the score, so that "
            "each head learns how far it looks.",
            Paper("Raffel et al. 2019", "1910.10683"),
        ),
        "none": Reason(
            "A decoder can infer positions from the causal mask alone, and without an encoding "
            "none can fail beyond the trained length.",
            Paper("Kazemnejad et al. 2023", "2305.19466"),
        ),
    },
    "positions.rope_theta": {
        "more": Reason(
            "Slower rotation distinguishes distant positions and lets attention reach them, which "
            "a longer context needs.",
            LONG_CONTEXT,
        ),
        "any": Reason(
            "The slowest pair turns once in 2π times this many tokens; 10,000 is the original "
            "value, enough for a short context.",
            ROPE,
        ),
    },
    "positions.local_theta": {
        "0.0": Reason("All layers use the same rotation.", ROPE),
        "any": Reason(
            "Layers with a window see only near tokens, so they keep the fast rotation that "
            "distinguishes neighbours.",
            GEMMA3,
        ),
    },
    "positions.nope_every": {
        "0": Reason("Every layer encodes positions.", ROPE),
        "any": Reason(
            "A layer without rotation finds tokens by content at any distance, while the other "
            "layers encode the order: better on long texts, no worse on short ones.",
            HYBRID_NOPE,
        ),
    },
    "positions.scaling.kind": {
        "none": Reason("Positions are not scaled.", ROPE),
        "linear": Reason(
            "Slowing all rotations equally maps a longer text into the trained range.",
            Paper("Chen et al. 2023", "2306.15595"),
        ),
        "llama3": Reason(
            "Slowing only the slow rotations extends the context and keeps nearby distances "
            "unchanged; published as code, with values found by a search.",
            LLAMA31_CODE,
        ),
        "yarn": Reason(
            "Slow rotations are slowed, fast ones kept, and scores scaled up because more tokens "
            "flatten the softmax, so that little further training is needed.",
            YARN,
        ),
    },
    "positions.scaling.factor": {
        "any": Reason("The factor by which the slowest rotations are slowed.", YARN)
    },
    "positions.scaling.original_tokens": {
        "any": Reason("The context length in training before scaling.", YARN)
    },
    "positions.scaling.sharpness": {
        "any": Reason(
            "The factor by which the scaled rotation multiplies queries and keys.", DEEPSEEK_V2
        )
    },
    "positions.scaling.sharpness_all": {
        "any": Reason(
            "The factor for all scores instead, including the part without positions.",
            DEEPSEEK_V2,
        )
    },
    "feed_forward.kind": {
        "relu": Reason("The simplest non-linearity: negative numbers become zero.", VASWANI),
        "relu2": Reason(
            "Squared ReLU was found by an automatic search for cheaper training: two matrices do "
            "the work of a gate's three, and most hidden numbers are exactly 0, so one sees which "
            "are active.",
            Paper("So et al. 2021", "2109.08668"),
        ),
        "gelu": Reason(
            "A smooth curve instead of ReLU's corner did a little better in all of its paper's "
            "experiments.",
            Paper("Hendrycks & Gimpel 2016", "1606.08415"),
        ),
        "swiglu": Reason(
            "A third matrix gates each hidden number; better at equal size, which its author "
            'explains by "divine benevolence".',
            GLU,
        ),
        "geglu": Reason(
            "A gate as in SwiGLU, with GELU instead of SiLU; in the same experiments the two were "
            "equal.",
            GLU,
        ),
    },
    "feed_forward.bias": {"true": _HABIT, "false": _NO_BIAS},
    "experts.n_experts": {
        "0": Reason(
            "One network for every token: no routing, no balancing, and every parameter is used.",
            VASWANI,
        ),
        "more": _ONE_OF_MANY,
        "any": Reason(
            "Many networks of which a token uses a few: the model's capacity grows with all of "
            "them, the cost of a token only with the few.",
            MIXTURE,
        ),
    },
    "experts.n_active": {
        "2": Reason(
            "Two are enough, and the router learns from the comparison between them.", MIXTURE
        ),
        "any": _ONE_OF_MANY,
    },
    "experts.n_shared": {
        "0": Reason(
            "No expert is used by every token: Qwen3 dropped the shared expert without giving a "
            "reason.",
            QWEN3,
        ),
        "any": Reason(
            "An expert that every token uses learns what all of them need, so that the others "
            "need not learn it too.",
            DEEPSEEK_MOE,
        ),
    },
    "experts.d_hidden": {
        "more": Reason("Fewer experts, each as wide as a whole feed-forward network.", MIXTRAL),
        "less": _ONE_OF_MANY,
        "any": Reason("The width of one expert.", MIXTURE),
    },
    "experts.n_dense_layers": {
        "0": Reason("Every layer has experts.", MIXTRAL),
        "any": Reason(
            "In the first layers the load of experts is slow to balance, so those layers stay "
            "dense.",
            DEEPSEEK_MOE,
        ),
    },
    "experts.score": {
        "softmax": Reason("The experts' weights sum to one.", MIXTURE),
        "sigmoid": Reason(
            "Each expert is scored independently, and only the scores of the chosen ones are "
            "normalised to sum to one.",
            DEEPSEEK_V3,
        ),
    },
    "experts.scale": {
        "1.0": Reason("The chosen experts' weights are not scaled.", MIXTURE),
        "any": Reason(
            "A constant scales up the chosen experts, whose weights that sum to one may be too "
            "small compared with the shared expert; the report gives no reason.",
            DEEPSEEK_V3,
        ),
    },
    "experts.balance": {
        "true": Reason(
            "A bias that affects only the choice, raised for underused experts and lowered for "
            "overused ones, balances the load without a loss term that affects the model.",
            Paper("Wang et al. 2024", "2408.15664"),
        ),
        "false": Reason(
            "An extra term of the training loss balances the load, so the model itself needs "
            "nothing for it.",
            Paper("Fedus et al. 2021", "2101.03961"),
        ),
    },
    "experts.n_groups": {"1": _NO_GROUPS, "any": _GROUPS},
    "experts.n_active_groups": {"1": _NO_GROUPS, "any": _GROUPS},
}
