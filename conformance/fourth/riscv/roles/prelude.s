# What every role uses. The number is the first word of memory; input is kept a page on.

# Takes the message's data: its length in s1, its place in s2, its first byte in s3.
input:
    li a0, 0x80001000
    li a1, 0x1000
    li a7, 2
    mv s2, a0
    ecall
    mv s1, a0
    lbu s3, 0(s2)
    ret

# Adds one to the number, and says it.
count:
    li t0, 0x80000000
    lw t1, 0(t0)
    addi t1, t1, 1
    sw t1, 0(t0)
say_number:
    li a0, 0x80000000
    li a1, 4
# Says a1 bytes at a0.
say:
    li a7, 1
    ecall
    ret

count_and_end:
    call count
end:
    li a0, 0
    li a7, 0
    ecall
