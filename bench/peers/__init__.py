"""Do other libraries give our images and verdicts? Each kind of cell beside the calls of others, image by image.

make peers                      all of it, in an environment of its own; docs/peers/*.csv and docs/peers.md
python -m bench.peers           the same, where the libraries of bench/peers/requirements.txt are installed
python -m bench.peers page      docs/peers.md alone, from the CSVs; --check says whether it is current
"""
