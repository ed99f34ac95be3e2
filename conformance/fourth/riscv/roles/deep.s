# Told to go deep, calls itself without end.
    call input
    li t0, 'd'
    bne s3, t0, count_and_end
deeper:
    call deeper
