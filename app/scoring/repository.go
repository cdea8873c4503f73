package scoring

// LoadRequest asks for a model to be loaded, or loaded again, from the models folder: the
// protocol's model repository extension.
type LoadRequest struct {
	// Name of the model.
	Name string
	// Config replaces the model's configuration for this load, in the JSON form of
	// Triton's ModelConfig; "" takes what the folder has.
	Config string
	// Files are files of versions by "VERSION/NAME", such as "1/model.onnx". Where there
	// are any, the model is made of them alone, and Config is required.
	Files map[string][]byte
}
