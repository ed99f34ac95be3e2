# Told to hog, writes to one page after the other until there is no more.
    call input
    li t0, 'h'
    li t1, 0x80002000
    li t2, 0x1000
take:
    bne s3, t0, count_and_end
    sw t0, 0(t1)
    add t1, t1, t2
    j take
