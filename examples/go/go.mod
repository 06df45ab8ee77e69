module github.com/quorate/quorate/examples/go

go 1.19

require github.com/quorate/quorate/bindings/go v0.0.0

replace github.com/quorate/quorate/bindings/go => ../../bindings/go
