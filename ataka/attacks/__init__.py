"""Attacks: one file an attack. The file says everything about the attack, and is found by its name.

A *kind* of attack is a module here, or a module anywhere on the Python path called by its dotted name. It defines

``attack``   ``(model, x, y, *, ...) -> x_adv``, a pure function decorated with ``checked``. Images are float32 in
             [0,1], NCHW; labels int64; budgets in pixel units (8/255 is 0.03137...). The attack leaves the network
             unchanged (``attack_mode``), calls the network with the images as the first argument, takes no
             derivative but ``torch.autograd.grad(loss, x)``, and draws only from the ``generator``, ``start`` or
             ``seed`` that its caller gives. ``checked`` refuses logits and gradients that are not finite
``Options``  the keys of its entry in a YAML, which ``attack`` takes by name: a subclass of ``AttackOptions``

and any of these names:

``LABEL``              its name in print; without one, the module's name
``sentence(options)``  its sentence below a table: names of options in braces, and ``{heading}``, stand for what they
                       are in this study. Attacks whose sentences differ in the first braces alone share one
``caveat(options)``    the same for the caption itself: a weakness that a reader must know of
``PAPER_NOTE``         a sentence for tables that show the paper's numbers, too
``BEATS``              kinds of attack of which this one should leave no more images right; the first that was measured
                       counts. Without it, ``clean``
``CHECKS``             further signs that its number can't be believed (``ataka.study.attacks.Check``)
``files(options)``     names of the files that it reads beside the test images. They lie in the folder that its option
                       ``folder`` names below data.folder, and the settings of its cells hold their SHA-256; the
                       attack gets ``folder`` as a whole path
``DIAGNOSIS``          name of a module, whose function ``diagnose(run, network, settings, split, *, seed)`` calls
                       ``run()`` for the verdicts and returns them and further columns of the cell
``forwards(options)``  its work for one image, in forwards of the network; without it, two a step and one to judge
``chunk_forwards``     ``(options)``, the same for a chunk, where the network is called for it more often than for an
                       image on average, as long as one image stands
``draw``               ``(x, *, generator, ...)`` to random starts, an image's in each row: they are drawn for a whole
                       test set first, and ``attack`` takes them, in whatever pieces, as ``start``
``attack_chunk``       in place of ``attack``, for verdicts that depend on how the test set is cut: chunk c is the
                       images [c * chunk, (c + 1) * chunk), the last may be short, and none is cut when memory runs
                       out. The attack has an option ``chunk``, which its cells state. It takes ``start``, where there
                       is ``draw``, and of the following those that it names: ``seed``, the chunk's ``index``, the
                       ``point`` to resume from (or None), and ``keep``, to which it hands each ``Point`` where it can
                       be interrupted. Without ``Point`` an evaluation resumes after the last whole chunk
``Point``              a dataclass of tensors and numbers with ``message``, for progress, and ``counts``, which are
                       added up

This package is science, so that the code that finds its modules and reads their facts lies in ``ataka.study.attacks``.
"""

from ataka.library.lazy import attack as __getattr__  # noqa: F401 - ataka.attacks.pgd, imported or not
