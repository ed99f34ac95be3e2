# Says what it is told.
    call input
    mv a0, s2
    mv a1, s1
    call say
    j end
