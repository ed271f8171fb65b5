module shipkeeper/tools/kubernetes-types

go 1.21
