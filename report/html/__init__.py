"""One page of a scale, {root}/report.html, that needs no other file: tables, provenance, pictures, claims, costs.

build.py         what is measured to the page's text, through report.html.j2, report.css and report.js
sheets.py        a table as the page shows it: each number, the published one, their difference, its colour
provenance.py    behind each number: measurements, settings, readings, a command, training curves
"""
