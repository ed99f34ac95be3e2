# Counts; then asks for the data of the id that it is told, and says whether there is such data, and all of it.
    call count
    call input
    mv a0, s2
    mv a1, s1
    li a2, 0x80004000
    li a3, 0x1000
    li a7, 3
    ecall
    mv s1, a0
    li t0, -1
    beq s1, t0, end
    li a0, 0x80003000
    sb s3, 0(a0)
    li a1, 1
    call say
    li a0, 0x80004000
    mv a1, s1
    call say
    j end
