// Command referees says what others' readers make of texts that Canarium reads too.
//
// It reads a line of JSON for each text, {"what": ..., "text": ..., "more": ...}, and answers each
// with a line: null for what the referee refuses.
package main

import (
	"bufio"
	"encoding/json"
	"io"
	"log"
	"os"
	"strconv"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/theory/jsonpath"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

type question struct {
	What string          `json:"what"`
	Text string          `json:"text"`
	More json.RawMessage `json:"more"`
}

type referee func(text string, more json.RawMessage) (any, error)

var referees = map[string]referee{
	"quantity": readQuantity,
	"name":     readName,
	"time":     readTime,
	"page":     readPage,
	"query":    readQuery,
	"path":     readPath,
	"quantile": computeQuantile,
}

// readQuantity spells one as a resource list keeps it: rounded up to a thousandth.
func readQuantity(text string, _ json.RawMessage) (any, error) {
	found, err := resource.ParseQuantity(text)
	if err != nil {
		return nil, err
	}
	found.RoundUp(resource.Milli)
	number, suffix := found.CanonicalizeBytes(nil)
	return string(number) + string(suffix), nil
}

func readName(text string, _ json.RawMessage) (any, error) {
	return map[string]bool{
		"label":     len(validation.IsDNS1123Label(text)) == 0,
		"subdomain": len(validation.IsDNS1123Subdomain(text)) == 0,
		"qualified": len(validation.IsQualifiedName(text)) == 0,
		"value":     len(validation.IsValidLabelValue(text)) == 0,
		"port":      len(validation.IsValidPortName(text)) == 0,
	}, nil
}

// readTime says how the apiserver would store one, and which second it is.
func readTime(text string, _ json.RawMessage) (any, error) {
	quoted, err := json.Marshal(text)
	if err != nil {
		return nil, err
	}
	var found metav1.Time
	if err := json.Unmarshal(quoted, &found); err != nil {
		return nil, err
	}
	return []any{found, found.Unix()}, nil
}

type sample struct {
	Labels map[string]string `json:"labels"`
	Value  string            `json:"value"`
}

func readPage(text string, _ json.RawMessage) (any, error) {
	options := textparse.ParserOptions{FallbackContentType: "text/plain"}
	page, err := textparse.New([]byte(text), "text/plain", labels.NewSymbolTable(), options)
	if err != nil {
		return nil, err
	}
	found := []sample{}
	for {
		entry, err := page.Next()
		if err == io.EOF {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		if entry == textparse.EntrySeries {
			var series labels.Labels
			page.Labels(&series)
			_, _, value := page.Series()
			found = append(found, sample{series.Map(), strconv.FormatFloat(value, 'g', -1, 64)})
		}
	}
}

var parsers = parser.NewParser(parser.Options{
	EnableExperimentalFunctions:  true,
	ExperimentalDurationExpr:     true,
	EnableExtendedRangeSelectors: true,
	EnableBinopFillModifiers:     true,
})

// readQuery tells the matchers of each selector, and the query without them.
func readQuery(text string, _ json.RawMessage) (any, error) {
	found, err := parsers.ParseExpr(text)
	if err != nil {
		return nil, err
	}
	selectors := [][][]string{}
	parser.Inspect(found, func(node parser.Node, _ []parser.Node) error {
		if selector, ok := node.(*parser.VectorSelector); ok {
			matchers := [][]string{}
			for _, each := range selector.LabelMatchers {
				matchers = append(matchers, []string{each.Name, each.Type.String(), each.Value})
			}
			selectors = append(selectors, matchers)
			selector.Name, selector.LabelMatchers = "x", nil
		}
		return nil
	})
	return map[string]any{"selectors": selectors, "rest": found.String()}, nil
}

func readPath(text string, more json.RawMessage) (any, error) {
	path, err := jsonpath.Parse(text)
	if err != nil {
		return nil, err
	}
	var document any
	if err := json.Unmarshal(more, &document); err != nil {
		return nil, err
	}
	return append([]any{}, path.Select(document)...), nil
}

// computeQuantile is histogram_quantile's own: pairs of a bound and how many are at or below it.
func computeQuantile(text string, more json.RawMessage) (any, error) {
	quantile, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, err
	}
	var pairs [][2]string
	if err := json.Unmarshal(more, &pairs); err != nil {
		return nil, err
	}
	var buckets promql.Buckets
	for _, pair := range pairs {
		bound, err := strconv.ParseFloat(pair[0], 64)
		if err != nil {
			return nil, err
		}
		count, err := strconv.ParseFloat(pair[1], 64)
		if err != nil {
			return nil, err
		}
		buckets = append(buckets, promql.Bucket{UpperBound: bound, Count: count})
	}
	found, _, _, _, _, _ := promql.BucketQuantile(quantile, buckets)
	return found, nil
}

func main() {
	questions, answers := json.NewDecoder(bufio.NewReader(os.Stdin)), json.NewEncoder(os.Stdout)
	for {
		var asked question
		if err := questions.Decode(&asked); err == io.EOF {
			return
		} else if err != nil {
			log.Fatal(err)
		}
		answer, err := referees[asked.What](asked.Text, asked.More)
		if err != nil {
			answer = nil
		}
		if err := answers.Encode(answer); err != nil {
			log.Fatal(err)
		}
	}
}
