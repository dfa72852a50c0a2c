"""AT-AKA: adversarial training via adaptive knowledge amalgamation, and what every method shares.

``import ataka`` loads no torch; each of these names loads what it needs when it is first used:

``ataka.load(network, ...)``      a network ready to use, from a file of weights, a run, timm or a function of yours
``ataka.evaluate(network, ...)``  verdicts of an attack on test images, as a table's cell has them
``ataka.tape(path)``              a recorded tape, whose logits can be looked at
``ataka.attacks``                 the attacks, one module each: ``ataka.attacks.pgd.attack(network, x, y, ...)``
``ataka.svgd``                    the paper's generator (eq. 2): ``ataka.svgd.attack`` and ``ataka.svgd.phi``
``ataka.psi``                     the amalgamations (eqs. 4 to 7), one module each: ``ataka.psi.soft.soft(...)``

docs/library.md has an example of each.
"""

from ataka.library.lazy import NAMES as __all__  # noqa: F401
from ataka.library.lazy import TYPE_CHECKING
from ataka.library.lazy import attribute as __getattr__  # noqa: F401
from ataka.library.lazy import names as __dir__  # noqa: F401

if TYPE_CHECKING:
    from ataka import attacks as attacks
    from ataka import psi as psi
    from ataka.attacks import svgd as svgd
    from ataka.library.evaluation import evaluate as evaluate
    from ataka.library.networks import load as load
    from ataka.library.tapes import tape as tape
