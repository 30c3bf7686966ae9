// The page of the API: everything it shows comes from /openapi.json of this very Relevo.
const dark = matchMedia("(prefers-color-scheme: dark)");
const colour = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", colour);
colour();

window.addEventListener("load", () => {
  window.SwaggerUIBundle({
    url: "openapi.json",
    dom_id: "#swagger-ui",
    deepLinking: true,
    // The validator badge would ask somebody else's server.
    validatorUrl: null,
    tryItOutEnabled: true,
    persistAuthorization: false,
    // Operations show the schemas they need; the list of all is there, folded.
    defaultModelsExpandDepth: 0,
  });
});
