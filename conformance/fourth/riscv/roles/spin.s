# Told to spin, loops for ever.
    call input
    li t0, 's'
loop:
    beq s3, t0, loop
    j count_and_end
