# Says the number that it finds and adds one; told to fault, fails only then.
    call input
    call say_number
    li t0, 0x80000000
    lw t1, 0(t0)
    addi t1, t1, 1
    sw t1, 0(t0)
    li t0, 'f'
    beq s3, t0, fail
    j end
fail:
    li a0, 1
    li a7, 0
    ecall
