// Writes how Kubernetes' types look in protobuf and in JSON, read off the tags of their Go structs.
//
//	go run . 20 21 … 37 > ../../src/shipkeeper/etcd/kubernetes_types.json
//
// Source: the modules k8s.io/{api,apimachinery,apiextensions-apiserver,kube-aggregator} of each
// minor version, fetched by the Go module proxy. The format is described in etcd/shapes.py.
package main

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"sort"
	"strconv"
	"strings"
)

var modules = map[string]string{
	"k8s.io/api":                     ".",
	"k8s.io/apimachinery":            "pkg",
	"k8s.io/apiextensions-apiserver": "pkg/apis/apiextensions",
	"k8s.io/kube-aggregator":         "pkg/apis/apiregistration",
}

// Types whose JSON is written by hand in Go; shapes.py knows each of these letters.
var special = map[string]string{
	"meta/v1.Time": "T", "meta/v1.MicroTime": "U", "meta/v1.Duration": "D",
	"meta/v1.FieldsV1": "F", "resource.Quantity": "Q", "intstr.IntOrString": "I",
	"runtime.RawExtension": "R", "apiextensions/v1.JSON": "J", "apiextensions/v1beta1.JSON": "J",
	"apiextensions/v1.JSONSchemaPropsOrArray":            "A",
	"apiextensions/v1beta1.JSONSchemaPropsOrArray":       "A",
	"apiextensions/v1.JSONSchemaPropsOrBool":             "B",
	"apiextensions/v1beta1.JSONSchemaPropsOrBool":        "B",
	"apiextensions/v1.JSONSchemaPropsOrStringArray":      "S",
	"apiextensions/v1beta1.JSONSchemaPropsOrStringArray": "S",
}

type declared struct {
	pkg     string
	expr    ast.Expr
	imports map[string]string
}

type field struct {
	number int
	name   string
	omit   string
	kind   string
}

type world struct {
	types  map[string]declared
	groups map[string]string
	out    map[string][][]any
}

func main() {
	all := map[string]any{}
	for _, minor := range os.Args[1:] {
		w := &world{types: map[string]declared{}, groups: map[string]string{}, out: map[string][][]any{}}
		for module, root := range modules {
			w.read(module, filepath.Join(download(module, minor), root))
		}
		kinds := map[string]string{}
		for name, found := range w.types {
			structure, ok := found.expr.(*ast.StructType)
			if !ok || !isKind(structure) || !strings.Contains(found.pkg, "/v") {
				continue
			}
			group, has := w.groups[found.pkg]
			if !has {
				continue
			}
			version := found.pkg[strings.LastIndex(found.pkg, "/")+1:]
			kind := name[strings.LastIndex(name, ".")+1:]
			kinds[strings.TrimPrefix(group+"/"+version, "/")+"/"+kind] = name
			w.message(name)
		}
		all[minor] = map[string]any{"kinds": kinds, "types": w.out}
	}
	write(all)
}

// Types that many minors share are written once: rows of distinct shapes, and numbers of rows.
func write(all map[string]any) {
	rows, numbers := []any{}, map[string]int{}
	minors := map[string]any{}
	for minor, each := range all {
		types := map[string]int{}
		for name, shape := range each.(map[string]any)["types"].(map[string][][]any) {
			text, _ := json.Marshal(shape)
			if _, seen := numbers[string(text)]; !seen {
				numbers[string(text)] = len(rows)
				rows = append(rows, shape)
			}
			types[name] = numbers[string(text)]
		}
		minors[minor] = map[string]any{"kinds": each.(map[string]any)["kinds"], "types": types}
	}
	json.NewEncoder(os.Stdout).Encode(map[string]any{"rows": rows, "minors": minors})
}

func download(module, minor string) string {
	command := exec.Command("go", "mod", "download", "-json", module+"@v0."+minor)
	command.Env = append(os.Environ(), "GOWORK=off")
	output, err := command.Output()
	var answer struct{ Dir, Error string }
	json.Unmarshal(output, &answer)
	if err != nil || answer.Dir == "" {
		fmt.Fprintln(os.Stderr, module, minor, err, answer.Error)
		os.Exit(1)
	}
	return answer.Dir
}

// Two last segments of a package's path name it: apps/v1, meta/v1; of a package without version one.
func short(path string) string {
	parts := strings.Split(path, "/")
	last := parts[len(parts)-1]
	if strings.HasPrefix(last, "v") && len(last) > 1 && last[1] >= '0' && last[1] <= '9' {
		return parts[len(parts)-2] + "/" + last
	}
	return last
}

func (w *world) read(module, root string) {
	filepath.Walk(root, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() || !strings.HasSuffix(path, ".go") ||
			strings.HasSuffix(path, "_test.go") || strings.Contains(path, "/testdata/") {
			return nil
		}
		name := filepath.Base(path)
		if strings.HasPrefix(name, "zz_") || strings.HasPrefix(name, "generated") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return nil
		}
		w.file(short(filepath.Dir(path)), file)
		return nil
	})
}

func (w *world) file(pkg string, file *ast.File) {
	imports := map[string]string{}
	for _, each := range file.Imports {
		path, _ := strconv.Unquote(each.Path.Value)
		alias := path[strings.LastIndex(path, "/")+1:]
		if each.Name != nil {
			alias = each.Name.Name
		}
		imports[alias] = short(path)
	}
	for _, declaration := range file.Decls {
		general, ok := declaration.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range general.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				w.types[pkg+"."+spec.Name.Name] = declared{pkg, spec.Type, imports}
			case *ast.ValueSpec:
				if spec.Names[0].Name == "GroupName" && len(spec.Values) == 1 {
					if value, ok := spec.Values[0].(*ast.BasicLit); ok {
						w.groups[pkg], _ = strconv.Unquote(value.Value)
					} else {
						w.groups[pkg] = "apiextensions.k8s.io"
					}
				}
			}
		}
	}
	if strings.HasPrefix(pkg, "apiregistration/v") {
		w.groups[pkg] = "apiregistration.k8s.io"
	}
	if strings.HasPrefix(pkg, "apiextensions/v") {
		w.groups[pkg] = "apiextensions.k8s.io"
	}
}

func isKind(structure *ast.StructType) bool {
	hasType, hasMeta := false, false
	for _, each := range structure.Fields.List {
		if len(each.Names) > 0 {
			continue
		}
		selector, ok := each.Type.(*ast.SelectorExpr)
		hasType = hasType || (ok && selector.Sel.Name == "TypeMeta")
		hasMeta = hasMeta || (ok && selector.Sel.Name == "ObjectMeta")
	}
	return hasType && hasMeta
}

func (w *world) message(name string) {
	if _, done := w.out[name]; done {
		return
	}
	w.out[name] = [][]any{}
	found := w.types[name]
	structure, ok := found.expr.(*ast.StructType)
	if !ok {
		return
	}
	fields := []field{}
	for _, each := range structure.Fields.List {
		if each.Tag == nil {
			continue
		}
		text, _ := strconv.Unquote(each.Tag.Value)
		tag := reflect.StructTag(text)
		proto := strings.Split(tag.Get("protobuf"), ",")
		if len(proto) < 2 {
			continue
		}
		number, _ := strconv.Atoi(proto[1])
		words := strings.Split(tag.Get("json"), ",")
		if words[0] == "-" {
			continue
		}
		omit := ""
		for _, word := range words[1:] {
			if word == "omitempty" {
				omit += "e"
			}
			if word == "omitzero" {
				omit += "z"
			}
		}
		fields = append(fields, field{number, words[0], omit, w.kind(found, each.Type)})
	}
	sort.Slice(fields, func(i, j int) bool { return fields[i].number < fields[j].number })
	rows := [][]any{}
	for _, each := range fields {
		rows = append(rows, []any{each.number, each.name, each.omit, each.kind})
	}
	w.out[name] = rows
}

func (w *world) kind(from declared, expr ast.Expr) string {
	switch expr := expr.(type) {
	case *ast.StarExpr:
		return "*" + w.kind(from, expr.X)
	case *ast.ArrayType:
		if ident, ok := expr.Elt.(*ast.Ident); ok && ident.Name == "byte" {
			return "y"
		}
		return "[" + w.kind(from, expr.Elt)
	case *ast.MapType:
		return "{" + w.kind(from, expr.Value)
	case *ast.SelectorExpr:
		return w.named(from.imports[expr.X.(*ast.Ident).Name] + "." + expr.Sel.Name)
	case *ast.Ident:
		switch expr.Name {
		case "string":
			return "s"
		case "bool":
			return "b"
		case "int", "int32", "int64", "uint32", "uint64", "uint8", "uint":
			return "i"
		case "float64":
			return "f"
		case "float32":
			return "g"
		}
		return w.named(from.pkg + "." + expr.Name)
	}
	return "?"
}

func (w *world) named(name string) string {
	if letter, ok := special[name]; ok {
		if letter == "A" || letter == "B" {
			schema := name[:strings.LastIndex(name, ".")] + ".JSONSchemaProps"
			w.message(schema)
			return letter + schema
		}
		return letter
	}
	found, ok := w.types[name]
	if !ok {
		if name == "types.UID" {
			return "s"
		}
		return "?" + name
	}
	switch found.expr.(type) {
	case *ast.StructType:
		w.message(name)
		return "@" + name
	case *ast.ArrayType:
		// A named list is a message of its own, with the list as its first field.
		return "L" + w.kind(found, found.expr)
	}
	return w.kind(found, found.expr)
}
