module gatehouse/deploy/bench/peers

go 1.26.0
