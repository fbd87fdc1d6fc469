"""What a policy would have earned, told from the log of another.

`read_logged` joins a log's decisions with what came of them, `evaluate` answers a `Question` about it.
"""

from learners.errors import EvaluationError
from learners.evaluation.estimators import parse_estimator
from learners.evaluation.evaluation import Evaluation, PolicyEvaluation, Question, evaluate
from learners.evaluation.logged import Logged
from learners.evaluation.policies import parse_policies
from learners.evaluation.reading import read_logged
from learners.evaluation.reward_model import Predicted, RewardModelConfig
from learners.evaluation.rules import parse_window

__all__ = [
    "Evaluation",
    "EvaluationError",
    "Logged",
    "PolicyEvaluation",
    "Predicted",
    "Question",
    "RewardModelConfig",
    "evaluate",
    "parse_estimator",
    "parse_policies",
    "parse_window",
    "read_logged",
]
