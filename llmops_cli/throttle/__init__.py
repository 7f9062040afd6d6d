"""Rate limits as an algorithm: what `recover throttle` replays here is what a client of the same settings runs."""

from llmops_cli.throttle.backoff import BackoffPolicy
from llmops_cli.throttle.limiter import Limiter, Reservation
from llmops_cli.throttle.limits import RateLimits
from llmops_cli.throttle.replay import Minute, Replayed, replay

__all__ = ["BackoffPolicy", "Limiter", "Minute", "RateLimits", "Replayed", "Reservation", "replay"]
