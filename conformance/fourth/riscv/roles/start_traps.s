# Its first line is no instruction.
    .word 0
