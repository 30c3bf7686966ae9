// The page of the API: everything it shows comes from /openapi.json of this very Relevo.
window.addEventListener("load", () => {
  window.SwaggerUIBundle({
    url: "openapi.json",
    dom_id: "#swagger-ui",
    deepLinking: true,
    // The validator badge would ask somebody else's server.
    validatorUrl: null,
    tryItOutEnabled: true,
    persistAuthorization: false,
  });
});
