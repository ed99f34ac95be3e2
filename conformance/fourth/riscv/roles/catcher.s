# This machine has no handlers, so there is nothing to loop or to ask under. What comes after the question
# would say that it was survived.
    call input
    li t0, 's'
loop:
    beq s3, t0, loop
    li t0, 'A'
    bne s3, t0, count_and_end
    mv a0, s2
    mv a1, s1
    li a2, 0x80004000
    li a3, 0x1000
    li a7, 3
    ecall
    j count_and_end
