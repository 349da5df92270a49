"""Amazon SWF's vocabulary, both ways, without network.

`decisions` has the decisions, `reading` turns a history of SWF into ours as it grows, `writing` turns ours into one of SWF's shape.
"""
