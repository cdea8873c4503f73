package monitoring

import "strings"

// object is a JSON object.
type object map[string]any

// schemaVersion is that of Grafana 11; newer ones migrate it when they load it.
const schemaVersion = 39

// The grid of a dashboard has 24 columns.
const (
	columns     = 24
	usualHeight = 8
	statHeight  = 4
)

// expansion is what the short forms in the sources stand for. Job is the app: the chart's
// PodMonitor takes it from the release's name.
var expansion = strings.NewReplacer(
	"$pods", `namespace=~"$namespace",job=~"$app"`,
	"$models", `model=~"$model",version=~"$version"`,
)

// Expand gives a source's expression as Grafana gets it.
func Expand(expr string) string { return expansion.Replace(expr) }

var datasource = object{"type": "prometheus", "uid": "${datasource}"}

// grafana is a board as Grafana reads it.
func grafana(b Board) object {
	return object{
		"uid": b.UID, "title": b.Title, "description": b.Description, "tags": []string{"onda"},
		"schemaVersion": schemaVersion, "version": 1, "editable": true, "graphTooltip": 1,
		"time": object{"from": "now-1h", "to": "now"}, "refresh": "30s", "timezone": "",
		"links": []object{{
			"type": "dashboards", "title": "Onda", "tags": []string{"onda"}, "asDropdown": true, "includeVars": true, "keepTime": true,
			"icon": "external link", "targetBlank": false, "tooltip": "", "url": "",
		}},
		"annotations": object{"list": []object{{
			"name": "Alerts", "datasource": datasource, "enable": true, "hide": false, "iconColor": "red",
			"expr": `ALERTS{alertname=~"Onda.*",alertstate="firing",severity!="info"}`, "titleFormat": "{{alertname}}", "step": "60s",
		}}},
		"templating": object{"list": variables()},
		"panels":     panels(b.Rows),
	}
}

// variables are the same on every board, so that links between boards keep them.
func variables() []object {
	list := []object{{
		"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "refresh": 1, "hide": 0,
		"options": []any{}, "includeAll": false, "multi": false, "regex": "",
	}}
	for _, v := range []struct{ name, label, query string }{
		{"namespace", "Namespace", `label_values(onda_build_info, namespace)`},
		{"app", "App", `label_values(onda_build_info{namespace=~"$namespace"}, job)`},
		{"model", "Model", Expand(`label_values(onda_model_ready{$pods}, model)`)},
		{"version", "Version", Expand(`label_values(onda_model_ready{$pods,model=~"$model"}, version)`)},
	} {
		list = append(list, object{
			"name": v.name, "label": v.label, "type": "query", "datasource": datasource, "definition": v.query,
			"query": object{"query": v.query, "refId": "variable"}, "refresh": 2, "sort": 1, "regex": "", "hide": 0,
			// .* also matches series that lack the label, such as those of a Prometheus outside Kubernetes.
			"multi": true, "includeAll": true, "allValue": ".*", "options": []any{},
			"current": object{"selected": true, "text": []string{"All"}, "value": []string{"$__all"}},
		})
	}
	return list
}

// panels lays the rows out: from left to right, and a new line where one is full.
func panels(rows []Row) []object {
	var list []object
	id, y := 0, 0
	add := func(p object, x, y, width, height int) {
		id++
		p["id"], p["gridPos"] = id, object{"x": x, "y": y, "w": width, "h": height}
		list = append(list, p)
	}
	for _, row := range rows {
		add(object{"type": "row", "title": row.Title, "collapsed": false, "panels": []any{}}, 0, y, columns, 1)
		y++
		x, tallest := 0, 0
		for _, p := range row.Panels {
			if x+p.Width > columns {
				x, y, tallest = 0, y+tallest, 0
			}
			height := p.height()
			add(panel(p), x, y, p.Width, height)
			x, tallest = x+p.Width, max(tallest, height)
		}
		y += tallest
	}
	return list
}

func (p Panel) height() int {
	switch {
	case p.Height > 0:
		return p.Height
	case p.Kind == "stat":
		return statHeight
	default:
		return usualHeight
	}
}

func panel(p Panel) object {
	thresholds := p.Thresholds
	if len(thresholds) == 0 {
		thresholds = []Threshold{{Color: "blue"}}
	}
	defaults := object{"unit": p.Unit, "thresholds": object{"mode": "absolute", "steps": thresholds}}
	if p.Min != nil {
		defaults["min"] = *p.Min
	}
	if p.Max != nil {
		defaults["max"] = *p.Max
	}
	o := object{
		"type": "timeseries", "title": p.Title, "description": p.Description, "datasource": datasource,
		"fieldConfig": object{"defaults": defaults, "overrides": []any{}}, "targets": targets(p),
	}
	switch p.Kind {
	case "stat":
		stat(o, p)
	case "table":
		table(o)
	default:
		timeseries(o, defaults, p)
	}
	return o
}

// targets are a panel's queries. A table asks for the present alone.
func targets(p Panel) []object {
	list := make([]object, len(p.Queries))
	for i, q := range p.Queries {
		list[i] = object{
			"refId": string(rune('A' + i)), "datasource": datasource, "expr": Expand(q.Expr), "legendFormat": q.Legend, "editorMode": "code",
			"range": p.Kind != "table", "instant": p.Kind == "table", "format": map[bool]string{true: "table", false: "time_series"}[p.Kind == "table"],
		}
	}
	return list
}

func timeseries(o, defaults object, p Panel) {
	stacking := "none"
	if p.Stack {
		stacking = "normal"
	}
	defaults["color"] = object{"mode": "palette-classic"}
	defaults["custom"] = object{
		"drawStyle": "line", "lineWidth": 1, "fillOpacity": 10, "showPoints": "never", "spanNulls": false,
		"stacking": object{"mode": stacking, "group": "A"},
	}
	o["options"] = object{
		"legend":  object{"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []string{}},
		"tooltip": object{"mode": "multi", "sort": "desc"},
	}
}

func stat(o object, p Panel) {
	text := "auto"
	if p.Text == "name" {
		text = "value_and_name"
	}
	o["type"] = "stat"
	o["options"] = object{
		"reduceOptions": object{"calcs": []string{"lastNotNull"}, "fields": "", "values": false},
		"colorMode":     "value", "graphMode": "area", "justifyMode": "auto", "orientation": "auto", "textMode": text,
	}
}

// table joins the queries by their labels, one line for each set of them, and names each
// query's column by its legend.
func table(o object) {
	names := object{}
	for _, t := range o["targets"].([]object) { //nolint:forcetypeassert // panel made them
		names["Value #"+t["refId"].(string)] = t["legendFormat"] //nolint:forcetypeassert // as above
	}
	o["type"] = "table"
	o["options"] = object{"showHeader": true, "cellHeight": "sm"}
	o["transformations"] = []object{
		{"id": "merge", "options": object{}},
		{"id": "organize", "options": object{"excludeByName": object{"Time": true}, "indexByName": object{}, "renameByName": names}},
	}
}
