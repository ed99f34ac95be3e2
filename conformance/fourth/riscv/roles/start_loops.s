# Its first line loops.
loop:
    j loop
