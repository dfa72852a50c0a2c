"""Tables of particles, the paper's Table 1: generators by statistics, for one image and for many."""
