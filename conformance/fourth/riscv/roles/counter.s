# Counts.
    j count_and_end
