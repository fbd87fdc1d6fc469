"""What can go wrong with learning; each class says when."""


class LearnerError(Exception):
    """A learner could not do what was asked."""


class ConfigError(LearnerError):
    """A model's configuration breaks a rule; the message names the field and the rule."""


class FeatureError(LearnerError):
    """A feature is not a finite number, a string or a boolean; the message names it."""


class PositionGap(LearnerError):
    """The entries offered do not continue where the shard stands; those before the gap were applied."""


class HistoryNeeded(LearnerError):
    """An entry makes a model that starts from the log before it, which nobody has read for it."""


class CheckpointError(LearnerError):
    """A checkpoint is of another partition, or of a version that this code does not read."""


class LearnersUnavailable(LearnerError):
    """A learner is away, or has not caught up since it started; ask again."""


class EvaluationError(LearnerError):
    """A log cannot be evaluated as asked; the message says what is wrong with the question or with the log."""
