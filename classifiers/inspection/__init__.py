"""A page on which people grade candidates, and how good they are at it.

- objects: candidates, with calibration items among them in a fixed order
- stamps, pictures, saliency: where pixels come from, and what is shown of them
- store: grades in SQLite, of which nothing is lost
- app, guard: the server, and whom it answers; page.html, page.css, page.js: the page
- export, agreement: tables of grades; Cohen's and Fleiss' kappa
- graders: completeness and false-positive rate of the graders, a selection function that multiplies
  the finder's
- verb: the command

Two kinds of tools were looked at. Lens searches use viewers on one's own desk, such as
Visualisation-tool (Savary et al. 2022, A&A 666, A1) and its successors: one object at a time, a key
for each grade, stretches at the press of a key, a CSV file for each person that is written anew.
Annotation servers, such as Label Studio, and Space Warps (Marshall et al. 2016, MNRAS 455, 1171)
keep every answer in a database and mix in objects whose truth is known, to learn how good each
person is. This page takes the manner of the first and the record of the second. Unlike Space Warps
it never tells a grader that an object was known, because a measurement that teaches changes what it
measures.
"""
