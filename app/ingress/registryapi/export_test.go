package registryapi

// Patterns lists the routes as http.ServeMux has them.
func Patterns() []string {
	var all []string
	for _, route := range (&Handler{}).routes() {
		all = append(all, route.pattern)
	}
	return all
}
