// Swagger UI for the documents that the page names.
SwaggerUIBundle({
  urls: JSON.parse(document.getElementById("contract").dataset.urls),
  dom_id: "#contract",
  deepLinking: true,
  docExpansion: "none",
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset],
  layout: "StandaloneLayout",
});
