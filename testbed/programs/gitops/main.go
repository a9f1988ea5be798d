// Command gitops says what the tools of GitOps make of objects: Flux by kstatus and by a
// Kustomization's healthCheckExprs, and Argo CD by a health script. It is built from what they are
// built from: Flux's own libraries, and Argo CD's Lua interpreter with the libraries that it opens.
//
// It reads {"objects": [...], "expressions": {"current": ...}, "script": "..."} and writes an array
// with {"kstatus": {...}, "flux": {...}, "argo": {...}} for each object.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type question struct {
	Objects     []*unstructured.Unstructured     `json:"objects"`
	Expressions kustomize.HealthCheckExpressions `json:"expressions"`
	Script      string                           `json:"script"`
}

type verdict struct {
	Status  string `json:"status"`
	Message string `json:"message,omitempty"`
}

type answer struct {
	Kstatus verdict `json:"kstatus"`
	Flux    verdict `json:"flux"`
	Argo    verdict `json:"argo"`
}

func main() {
	var asked question
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		fail(err)
	}
	answers := make([]answer, 0, len(asked.Objects))
	for _, object := range asked.Objects {
		found, err := judge(object, asked)
		if err != nil {
			fail(fmt.Errorf("%s: %w", object.GetName(), err))
		}
		answers = append(answers, found)
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func judge(object *unstructured.Unstructured, asked question) (found answer, err error) {
	computed, err := status.Compute(object)
	if err != nil {
		return found, fmt.Errorf("kstatus: %w", err)
	}
	found.Kstatus = verdict{computed.Status.String(), computed.Message}
	evaluator, err := cel.NewStatusEvaluator(&asked.Expressions)
	if err != nil {
		return found, fmt.Errorf("healthCheckExprs: %w", err)
	}
	evaluated, err := evaluator.Evaluate(context.Background(), object)
	if err != nil {
		return found, fmt.Errorf("healthCheckExprs: %w", err)
	}
	found.Flux = verdict{evaluated.Status.String(), evaluated.Message}
	found.Argo, err = runScript(object, asked.Script)
	return found, err
}

// runScript runs a health script with the libraries that Argo CD opens unless it is told to open
// all of them. (It has a part of "os" as well, which no health script of ours needs.)
func runScript(object *unstructured.Unstructured, script string) (verdict, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for name, open := range map[string]lua.LGFunction{
		lua.BaseLibName: lua.OpenBase,
		lua.TabLibName:  lua.OpenTable,
	} {
		call := lua.P{Fn: state.NewFunction(open), Protect: true}
		if err := state.CallByParam(call, lua.LString(name)); err != nil {
			return verdict{}, err
		}
	}
	state.SetGlobal("obj", toLua(state, object.Object))
	if err := state.DoString(script); err != nil {
		return verdict{}, err
	}
	table, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return verdict{}, fmt.Errorf("the script returned %s, not a table", state.Get(-1).Type())
	}
	return verdict{text(table, "status"), text(table, "message")}, nil
}

func text(table *lua.LTable, name string) string {
	return lua.LVAsString(table.RawGetString(name))
}

func toLua(state *lua.LState, value any) lua.LValue {
	switch known := value.(type) {
	case bool:
		return lua.LBool(known)
	case string:
		return lua.LString(known)
	case int64:
		return lua.LNumber(known)
	case float64:
		return lua.LNumber(known)
	case []any:
		list := state.NewTable()
		for _, item := range known {
			list.Append(toLua(state, item))
		}
		return list
	case map[string]any:
		table := state.NewTable()
		for name, item := range known {
			table.RawSetString(name, toLua(state, item))
		}
		return table
	default:
		return lua.LNil
	}
}
