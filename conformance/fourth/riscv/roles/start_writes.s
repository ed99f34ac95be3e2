# Its first lines change memory.
    j count_and_end
