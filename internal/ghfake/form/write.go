package form

// Tree is the body that makes a tree.
func Tree() *Form {
	return fields(map[string]field{
		"base_tree": {kind: "string"},
		"tree": {kind: "array", required: true, of: fields(map[string]field{
			"path": {kind: "string", required: true}, "mode": {kind: "string", required: true, enum: []string{"100644", "100755", "040000", "160000", "120000"}},
			"type": {kind: "string", enum: []string{"blob", "tree", "commit"}}, "sha": {kind: "string", null: true}, "content": {kind: "string"},
		})},
	})
}

// Commit is the body that makes a commit; those with an author of their own are not for Apps whose commits GitHub signs.
func Commit() *Form {
	return fields(map[string]field{
		"message": {kind: "string", required: true}, "tree": {kind: "string", required: true, max: 40}, "parents": {kind: "array"},
	})
}

// Ref is the body that makes a ref, or moves one.
func Ref(create bool) *Form {
	f := map[string]field{"sha": {kind: "string", required: true, max: 40}}
	if create {
		f["ref"] = field{kind: "string", required: true}
	} else {
		f["force"] = field{kind: "boolean"}
	}
	return fields(f)
}

// Pull is the body that opens a pull request.
func Pull() *Form {
	return fields(map[string]field{
		"title": {kind: "string", required: true, max: 256}, "head": {kind: "string", required: true}, "base": {kind: "string", required: true},
		"body": {kind: "string", null: true, max: 65536}, "maintainer_can_modify": {kind: "boolean"}, "draft": {kind: "boolean"},
	})
}
