"""Adversarial weight perturbation, as an option of a set-up."""

from pydantic import Field

from ataka.study.fields import Settings, Share


class AWP(Settings):
    """Adversarial weight perturbation (Wu, Xia and Wang, 2020): each step descends at weights that raise its loss."""

    gamma: float = Field(
        gt=0, description="l_2 norm of a weight's perturbation over the weight's; 0.01 in AT-AWP, 0.005 in TRADES-AWP"
    )
    begin: Share = Field(default="0", description="share of the training after which the epochs begin that perturb")
    steps: int = Field(default=1, ge=1, description="ascents on the weights, each of gamma / steps")

    @property
    def words(self) -> str:
        """The perturbation in words, for notes below a table."""
        return f"adversarial weight perturbation, γ = {self.gamma:g}"
