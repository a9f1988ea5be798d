module canarium.dev/tests/cluster/pause

go 1.24
