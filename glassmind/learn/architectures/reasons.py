"""Why the field changed a value: one sentence and its paper for every field two models differ in.

``REASONS[field]`` maps what a value became to the reason. The key is the new value as a recipe
writes it (``"rope"``, ``"true"``, ``"0"``), or ``"more"`` and ``"less"`` for a number that grew or
shrank, or ``"any"``; the first that fits in this order is taken. A sentence says what the change is
good for, as those who made it saw it, and admits where nobody has argued for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Paper:
    """A source: who and when, and its number on arXiv, empty if it is not there."""

    cite: str
    arxiv: str = ""

    def __str__(self) -> str:
        return f"{self.cite}, arXiv {self.arxiv}" if self.arxiv else self.cite


@dataclass(frozen=True)
class Reason:
    """One sentence and the paper it rests on."""

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

_HABIT = Reason("An offset beside every matrix was the habit of fully connected layers.", VASWANI)
_NO_BIAS = Reason("Large runs were steadier without biases, and nothing was missed.", PALM)
_ONE_OF_MANY = Reason(
    "Many small experts can be combined in far more ways than a few large ones at the same cost.",
    DEEPSEEK_MOE,
)
_GROUPS = Reason(
    "Groups of experts stand for machines: a token is sent only to the best few groups, so that "
    "it travels to few machines.",
    DEEPSEEK_V3,
)
_NO_GROUPS = Reason("All experts compete with all others.", MIXTURE)

REASONS: Mapping[str, Mapping[str, Reason]] = {
    "norm": {
        "layernorm": Reason(
            "Bringing every vector to mean 0 and variance 1 steadies training, whatever else is "
            "in the batch.",
            LAYERNORM,
        ),
        "rmsnorm": Reason(
            "Dividing by the root mean square is what matters in normalising: subtracting the mean "
            "and adding an offset cost time and bring next to nothing.",
            RMSNORM,
        ),
    },
    "norm_eps": {
        "any": Reason(
            "The guard against dividing by zero; which power of ten is a habit of each code base, "
            "and no paper argues for either.",
            RMSNORM,
        )
    },
    "norm_placement": {
        "residual": Reason(
            "Normalising every sum keeps the stream at one scale, but also cuts the straight way "
            "by which gradients reach the lower blocks, so it needs a careful warm-up.",
            VASWANI,
        ),
        "before": Reason(
            "A branch that reads a normalised copy leaves the sum itself alone, so gradients run "
            "straight down to the first block and training needs no delicate warm-up.",
            Paper("Xiong et al. 2020", "2002.04745"),
        ),
        "after": Reason(
            "Normalising what a branch says, not what it reads, bounds what any block can add; "
            "together with norms on queries and keys it made training visibly steadier.",
            OLMO2,
        ),
        "around": Reason(
            "A norm on each side of a branch bounds both what it reads and what it adds.", GEMMA2
        ),
    },
    "final_norm": {
        "true": Reason(
            "If no sum is normalised on the way up, the last one must be before it becomes logits.",
            GPT2,
        ),
        "false": Reason("Where every sum is normalised already, the last one is too.", VASWANI),
    },
    "tie_embeddings": {
        "true": Reason(
            "One matrix for reading a token and for saying it saves, in a small model with a large "
            "vocabulary, a large part of all parameters.",
            Paper("Press & Wolf 2017", "1608.05859"),
        ),
        "false": Reason(
            "In a large model a second matrix is a small share of the parameters, and reading a "
            "token and saying it are different tasks.",
            Paper("Chung et al. 2020", "2010.12821"),
        ),
    },
    "scale_embedding": {
        "true": Reason(
            "The paper gives no reason; the usual one is that a matrix which is the output layer "
            "too has small entries, and times √d_model they are loud enough beside what is added "
            "to them.",
            VASWANI,
        ),
        "false": Reason(
            "Dropped without a word; where every branch normalises what it reads, the embedding's "
            "scale hardly matters.",
            GPT2,
        ),
    },
    "embedding_norm": {
        "true": Reason(
            "A norm right after the embedding steadied trial runs in float16, at some cost in "
            "quality; it was kept as insurance for a run too dear to lose.",
            BLOOM,
        ),
        "false": Reason(
            "The norm after the embedding costs some quality, and training in bfloat16 is steady "
            "without it.",
            Paper("Le Scao et al. 2022", "2210.15424"),
        ),
    },
    "attention.n_kv_heads": {
        "0": Reason(
            "Every head has keys and values of its own: the most a cache can cost, which a small "
            "model or a short context can afford.",
            VASWANI,
        ),
        "1": Reason(
            "All heads share a single key and value, the smallest cache that is not compressed.",
            Paper("Shazeer 2019", "1911.02150"),
        ),
        "more": Reason(
            "Fewer heads share a key and value: a larger cache, and more for each head to tell "
            "apart.",
            GQA,
        ),
        "any": Reason(
            "Several query heads share one key and value: the cache, whose reading limits how fast "
            "text is generated, shrinks by that factor at almost no loss.",
            GQA,
        ),
    },
    "attention.head_dim": {
        "0": Reason("The heads divide d_model among them, as in the original.", VASWANI),
        "any": Reason(
            "A head's width is chosen for its own sake, since dividing d_model among many heads "
            "leaves each too narrow to tell many keys apart.",
            Paper("Bhojanapalli et al. 2020", "2002.07028"),
        ),
    },
    "attention.qk_norm": {
        "true": Reason(
            "Queries and keys of bounded length give bounded scores, so that no head can freeze "
            "with all its weight on one token, a common start of a run's collapse.",
            Paper("Henry et al. 2020", "2010.04245"),
        ),
        "false": Reason(
            "Scores are the plain dot products: a norm less in every head, and nothing but a "
            "modest learning rate to keep them from growing.",
            VASWANI,
        ),
    },
    "attention.qk_norm_over": {
        "all": Reason(
            "One norm spans all heads: it bounds them together and keeps how loud each is beside "
            "the others; the report does not say why it should.",
            OLMO2,
        ),
        "head": Reason(
            "Each head is normalised by itself, which bounds every single score, and works "
            "unchanged where heads lie on different machines.",
            QWEN3,
        ),
    },
    "attention.bias": {
        "true": Reason(
            "An offset for queries, keys and values was the habit of early models; Qwen took it up "
            "again because RoPE seemed to reach further with it.",
            Paper("Bai et al. 2023", "2309.16609"),
        ),
        "false": _NO_BIAS,
    },
    "attention.output_bias": {"true": _HABIT, "false": _NO_BIAS},
    "attention.window": {
        "0": Reason(
            "Every layer sees the whole text, so that any fact is one look away; the paper states "
            "it without a reason.",
            MIXTRAL,
        ),
        "less": Reason(
            "With some layers that see everything, the window of the others can shrink to a few "
            "hundred tokens at hardly any loss.",
            GEMMA3,
        ),
        "any": Reason(
            "A layer that looks back only so far costs the same for every token and keeps a cache "
            "of fixed size; from layer to layer, news still travels further.",
            MISTRAL,
        ),
    },
    "attention.global_every": {
        "0": Reason("Every layer is alike, and all are bounded by the window.", MISTRAL),
        "less": Reason(
            "More of the layers see everything: a dearer cache for a longer view.", OLMO3
        ),
        "any": Reason(
            "Most layers look around, and every so many sees everything: nearly all of the cache "
            "is saved and nearly nothing of the long view lost.",
            GEMMA3,
        ),
    },
    "attention.latent.kv_rank": {
        "0": Reason("Keys and values are cached as they are used, which any kernel can read.", GQA),
        "any": Reason(
            "All heads' keys and values are unpacked from one short vector a token, and only that "
            "is cached: less than grouped queries need, without making heads share.",
            DEEPSEEK_V2,
        ),
    },
    "attention.latent.q_rank": {
        "any": Reason(
            "Queries pass through a short vector too; no cache gets smaller by it, but training "
            "has less to remember.",
            DEEPSEEK_V2,
        )
    },
    "attention.latent.content_dim": {
        "any": Reason("How wide a key each head unpacks from the latent.", DEEPSEEK_V2)
    },
    "attention.latent.rope_dim": {
        "any": Reason(
            "A rotation would stand between the latent and the matrix that unpacks it, so position "
            "travels in a small extra key that all heads share.",
            DEEPSEEK_V2,
        )
    },
    "attention.latent.value_dim": {
        "any": Reason("How wide a value each head unpacks from the latent.", DEEPSEEK_V2)
    },
    "positions.kind": {
        "sinusoidal": Reason(
            "Fixed waves of many lengths, added to the embedding, give every place a pattern of "
            "its own without a parameter.",
            VASWANI,
        ),
        "learned": Reason(
            "A trained vector for each place is the simplest thing that works, up to the last "
            "place that was trained.",
            GPT2,
        ),
        "rope": Reason(
            "Turning queries and keys by an angle that grows with their place makes a score depend "
            "on the distance between two tokens, without a parameter and in every layer afresh.",
            ROPE,
        ),
        "alibi": Reason(
            "Lowering each score by the distance, in some heads more than in others, goes on "
            "working on texts longer than any in training.",
            Paper("Press et al. 2021", "2108.12409"),
        ),
        "none": Reason(
            "The causal mask alone tells a decoder where it is, and what was never added cannot "
            "fail beyond the trained length.",
            Paper("Kazemnejad et al. 2023", "2305.19466"),
        ),
    },
    "positions.rope_theta": {
        "more": Reason(
            "Slower rotation keeps distant places apart and lets attention reach them, which a "
            "longer context needs.",
            LONG_CONTEXT,
        ),
        "any": Reason(
            "The slowest pair turns once in 2π times this many tokens; 10,000 is the original "
            "and enough for a short context.",
            ROPE,
        ),
    },
    "positions.local_theta": {
        "0.0": Reason("All layers rotate alike.", ROPE),
        "any": Reason(
            "Layers with a window never look far, so they keep the fast rotation that tells "
            "neighbours apart.",
            GEMMA3,
        ),
    },
    "positions.nope_every": {
        "0": Reason("Every layer knows where its tokens stand.", ROPE),
        "any": Reason(
            "A layer without rotation finds things by what they are, however far away, while its "
            "neighbours keep the order: better on long texts, no worse on short ones.",
            HYBRID_NOPE,
        ),
    },
    "positions.scaling.kind": {
        "none": Reason("Nothing is stretched: positions are what training showed.", ROPE),
        "linear": Reason(
            "Slowing every rotation alike squeezes a longer text into the trained range.",
            Paper("Chen et al. 2023", "2306.15595"),
        ),
        "llama3": Reason(
            "Slowing only the slow rotations stretches the far view and leaves the near one alone; "
            "published as code, with values that a search had found.",
            LLAMA31_CODE,
        ),
        "yarn": Reason(
            "Slow rotations are slowed, fast ones kept, and the scores sharpened against the "
            "flattening by more tokens, so that little further training is needed.",
            YARN,
        ),
    },
    "positions.scaling.factor": {
        "any": Reason("How many times slower the slowest rotations become.", YARN)
    },
    "positions.scaling.original_tokens": {
        "any": Reason("The context that was trained before the stretch.", YARN)
    },
    "positions.scaling.sharpness": {
        "any": Reason("How much the stretched rotation raises queries and keys.", DEEPSEEK_V2)
    },
    "positions.scaling.sharpness_all": {
        "any": Reason(
            "How much all scores are raised instead, the part that carries no position as well.",
            DEEPSEEK_V2,
        )
    },
    "feed_forward.kind": {
        "relu": Reason("The simplest non-linearity: what is negative becomes nothing.", VASWANI),
        "relu2": Reason(
            "ReLU squared came out of an automatic search for cheaper training: two matrices do "
            "the work of a gate's three, and most inner numbers are exactly 0, so one sees which "
            "are at work.",
            Paper("So et al. 2021", "2109.08668"),
        ),
        "gelu": Reason(
            "A smooth bend in place of ReLU's corner did a little better in all of its paper's "
            "trials.",
            Paper("Hendrycks & Gimpel 2016", "1606.08415"),
        ),
        "swiglu": Reason(
            "A third matrix decides, number by number, how much passes; better at equal size, and "
            'its author explains it by "divine benevolence".',
            GLU,
        ),
        "geglu": Reason(
            "A gate as in SwiGLU, through GELU in place of SiLU; in the same trials the two came "
            "out level.",
            GLU,
        ),
    },
    "feed_forward.bias": {"true": _HABIT, "false": _NO_BIAS},
    "experts.n_experts": {
        "0": Reason(
            "One network for every token: nothing to route, nothing to balance, and no parameter "
            "idle.",
            VASWANI,
        ),
        "more": _ONE_OF_MANY,
        "any": Reason(
            "Many networks of which a token passes a few: what the model can know grows with all "
            "of them, what a token costs only with the few.",
            MIXTURE,
        ),
    },
    "experts.n_active": {
        "2": Reason(
            "Two are enough, and the comparison between them is what teaches the router.", MIXTURE
        ),
        "any": _ONE_OF_MANY,
    },
    "experts.n_shared": {
        "0": Reason(
            "No expert is passed by every token: Qwen3 left it out again, and does not say why.",
            QWEN3,
        ),
        "any": Reason(
            "An expert that every token passes learns what all of them need, so that the others "
            "need not each learn it again.",
            DEEPSEEK_MOE,
        ),
    },
    "experts.d_hidden": {
        "more": Reason("Fewer experts, each as wide as a whole feed-forward network.", MIXTRAL),
        "less": _ONE_OF_MANY,
        "any": Reason("How wide one expert is.", MIXTURE),
    },
    "experts.n_dense_layers": {
        "0": Reason("Every layer has experts.", MIXTRAL),
        "any": Reason(
            "In the first layers experts are slow to share the work evenly, so those stay dense.",
            DEEPSEEK_MOE,
        ),
    },
    "experts.score": {
        "softmax": Reason("Experts compete for a share of one.", MIXTURE),
        "sigmoid": Reason(
            "Each expert is scored by itself, and only the chosen ones' scores are made to sum to "
            "one.",
            DEEPSEEK_V3,
        ),
    },
    "experts.scale": {
        "1.0": Reason("The chosen experts' weights stay as they are.", MIXTURE),
        "any": Reason(
            "A constant raises the chosen experts, which weights that sum to one might leave too "
            "quiet beside the shared one; the report does not speak of it.",
            DEEPSEEK_V3,
        ),
    },
    "experts.balance": {
        "true": Reason(
            "A bias for the choice alone, raised for idle experts and lowered for busy ones, "
            "shares out the work without a loss term that pulls at the model.",
            Paper("Wang et al. 2024", "2408.15664"),
        ),
        "false": Reason(
            "A further term of the training loss shares out the work, so nothing of it remains in "
            "the model.",
            Paper("Fedus et al. 2021", "2101.03961"),
        ),
    },
    "experts.n_groups": {"1": _NO_GROUPS, "any": _GROUPS},
    "experts.n_active_groups": {"1": _NO_GROUPS, "any": _GROUPS},
}
